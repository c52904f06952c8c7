"""A private OCI registry on loopback: the Distribution project's own, as Debian has it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bed import processes
from bed.certs import Identity
from bed.private import PrivateServer, free_port, is_listening
from bed.unavailable import Unavailable

USER, PASSWORD = "vendor", "open sesame"
_HASH = "$2b$05$CYChWNeXLHQAF1oIYSWi8OhQZThaaQn1SEnTHLquPfsMmY6yTe3r."  # bcrypt of the password

_CONFIGURATION = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
http:
  addr: 127.0.0.1:{port}
"""


class PrivateRegistry(PrivateServer):
    """Keeps what is pushed until it is left.

    Args:
        identity: the certificate for https; None: plain http.
        is_closed: only `USER` with `PASSWORD` may come in.
    """

    start_timeout_s = 10
    stop_timeout_s = 5

    def __init__(self, identity: Identity | None = None, *, is_closed: bool = False) -> None:
        super().__init__()
        self._identity = identity
        self._is_closed = is_closed
        self.port = 0

    @property
    def host(self) -> str:
        """Its name in references."""
        return f"{'localhost' if self._identity else '127.0.0.1'}:{self.port}"

    def start(self) -> None:
        """Start the registry and wait until it listens.

        Raises:
            Unavailable: this machine cannot run it; nothing is left behind.
        """
        program = shutil.which("docker-registry")
        if program is None:
            raise Unavailable("docker-registry", "is not installed")
        folder = self._make_folder("bed-registry-")
        self.port = free_port()
        (folder / "config.yml").write_text(self._configuration(folder))
        command = [program, "serve", str(folder / "config.yml")]
        environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        if not self._launch(
            [*processes.ending_with_parent(), *command], lambda: is_listening(self.port), env=environment
        ):
            reason = self._last_words()
            self.stop()
            raise Unavailable("docker-registry", f"did not start: {reason}")

    def _configuration(self, folder: Path) -> str:
        text = _CONFIGURATION.format(folder=folder, port=self.port)
        if self._identity is not None:
            (folder / "certificate.pem").write_bytes(self._identity.certificate_pem)
            (folder / "key.pem").write_bytes(self._identity.key_pem)
            text += f"  tls: {{certificate: {folder}/certificate.pem, key: {folder}/key.pem}}\n"
        if self._is_closed:
            (folder / "htpasswd").write_text(f"{USER}:{_HASH}\n")
            text += f"auth: {{htpasswd: {{realm: bed, path: {folder}/htpasswd}}}}\n"
        return text
