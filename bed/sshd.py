"""A private ssh server on loopback, with its own keys, and an `ssh` that knows it and nobody's settings."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from bed import processes
from bed.private import PrivateServer, free_port, is_listening
from bed.unavailable import Unavailable

_PRIVILEGE_SEPARATION = Path("/run/sshd")  # is compiled into Debian's sshd


class PrivateSshd(PrivateServer):
    """Lets this user log in to this machine; use it as a context manager.

    Args:
        far_environment: what programs that are run through it find in their environment.
    """

    start_timeout_s = 10
    stop_timeout_s = 5

    def __init__(self, far_environment: Mapping[str, str]) -> None:
        super().__init__()
        self._far_environment = far_environment
        self.port = 0

    @property
    def address(self) -> str:
        """How it is reached: ``ssh://USER@127.0.0.1:PORT``."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    @property
    def search_path(self) -> str:
        """A ``PATH`` whose ``ssh`` is the system's, with this server's key and the user's key alone."""
        return os.pathsep.join([str(self.folder / "bin"), os.environ.get("PATH", os.defpath)])

    def start(self) -> None:
        """Start the server and wait until it listens.

        Raises:
            Unavailable: this machine cannot run it; nothing is left behind.
        """
        program = shutil.which("sshd", path=f"/usr/sbin:/usr/local/sbin:{os.environ.get('PATH', '')}")
        if program is None:
            raise Unavailable("sshd", "is not installed")
        if os.geteuid() != 0:
            raise Unavailable("sshd", "only root can start a private one")
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        folder = self._make_folder("bed-ssh-")
        self.port = free_port()
        self._write_keys()
        self._write_configuration()
        self._write_client()
        command = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
        if not self._launch([*processes.ending_with_parent(), *command], lambda: is_listening(self.port)):
            raise self._did_not_start("sshd")

    def end(self) -> None:
        """End the server; nobody listens at its port any more."""
        super().end()
        # A child that was born a moment ago, for whoever looked last, still holds the socket for another.
        until = time.monotonic() + self.stop_timeout_s
        while is_listening(self.port) and time.monotonic() < until:
            time.sleep(0.02)

    def refuse_user(self) -> None:
        """Let nobody log in any more."""
        (self.folder / "authorized_keys").write_text("")

    def forget_host(self) -> None:
        """Make the client not know the server any more."""
        (self.folder / "known_hosts").write_text("")

    def _write_keys(self) -> None:
        for name in ("host_key", "user_key"):
            path = self.folder / name
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bed", "-f", str(path)],
                check=True,
                timeout=self.start_timeout_s,
            )
        shutil.copy(self.folder / "user_key.pub", self.folder / "authorized_keys")
        host_key = (self.folder / "host_key.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host_key}")

    def _write_configuration(self) -> None:
        variables = " ".join(shlex.quote(f"{name}={value}") for name, value in self._far_environment.items())
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'host_key'}",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
            "PidFile none",
            "StrictModes no",  # the folder is below /tmp
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "MaxStartups 100",
            f"SetEnv {variables}",
        ]
        (self.folder / "sshd_config").write_text("\n".join([*lines, ""]))

    def _write_client(self) -> None:
        lines = [
            f"IdentityFile {self.folder / 'user_key'}",
            "IdentitiesOnly yes",
            f"UserKnownHostsFile {self.folder / 'known_hosts'}",
            "GlobalKnownHostsFile none",
            "StrictHostKeyChecking yes",
            "BatchMode yes",
        ]
        (self.folder / "ssh_config").write_text("\n".join([*lines, ""]))
        program = self.folder / "bin" / "ssh"
        program.parent.mkdir()
        found = shutil.which("ssh") or "ssh"
        # ssh finds its settings by the user's entry in the password file, not by HOME.
        program.write_text(f'#!/bin/sh\nexec {found} -F {self.folder / "ssh_config"} "$@"\n')
        program.chmod(0o755)
