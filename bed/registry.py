"""A private OCI registry on loopback: the Distribution project's own, as Debian has it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bed import processes
from bed.bad_link import BadLink
from bed.certs import Identity
from bed.private import PrivateServer, free_port
from bed.unavailable import Unavailable

USER, PASSWORD = "vendor", "open sesame"
_HASH = "$2b$05$CYChWNeXLHQAF1oIYSWi8OhQZThaaQn1SEnTHLquPfsMmY6yTe3r."  # bcrypt of the password

_CONFIGURATION = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
http:
  addr: {address}:{port}
"""


class PrivateRegistry(PrivateServer):
    """Keeps what is pushed until it is left.

    Args:
        identity: the certificate for https; None: plain http.
        is_closed: only `USER` with `PASSWORD` may come in.
        far_end: where it runs; None: on loopback.
    """

    start_timeout_s = 10
    stop_timeout_s = 5

    def __init__(
        self, identity: Identity | None = None, *, is_closed: bool = False, far_end: BadLink | None = None
    ) -> None:
        super().__init__()
        self._identity = identity
        self._is_closed = is_closed
        self._far_end = far_end
        self._address = far_end.SERVER if far_end else "127.0.0.1"
        self.port = 0

    @property
    def host(self) -> str:
        """Its name in references."""
        return f"{'localhost' if self._identity else self._address}:{self.port}"

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
        entering = self._far_end.entering_server() if self._far_end else []
        if not self._launch(
            [*processes.ending_with_parent(), *entering, *command], self._says_it_listens, env=environment
        ):
            raise self._did_not_start("docker-registry")

    def _says_it_listens(self) -> bool:
        return b"listening on" in self.log.read_bytes()  # from here nobody reaches the far end

    def _configuration(self, folder: Path) -> str:
        text = _CONFIGURATION.format(folder=folder, address=self._address, port=self.port)
        if self._identity is not None:
            (folder / "certificate.pem").write_bytes(self._identity.certificate_pem)
            (folder / "key.pem").write_bytes(self._identity.key_pem)
            text += f"  tls: {{certificate: {folder}/certificate.pem, key: {folder}/key.pem}}\n"
        if self._is_closed:
            (folder / "htpasswd").write_text(f"{USER}:{_HASH}\n")
            text += f"auth: {{htpasswd: {{realm: bed, path: {folder}/htpasswd}}}}\n"
        return text
