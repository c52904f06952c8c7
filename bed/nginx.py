"""A private nginx on loopback that gives out the files of a folder, by plain http and by https."""

from __future__ import annotations

import contextlib
import os
import shutil
from http.client import HTTPConnection
from pathlib import Path

from bed import processes
from bed.bad_link import BadLink
from bed.certs import Identity
from bed.private import PrivateServer, free_port
from bed.unavailable import Unavailable

_CONFIGURATION = """\
daemon off;
pid {folder}/pid;
error_log stderr;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
  log_format sent '$request_uri $body_bytes_sent $sent_http_content_length';
  access_log {folder}/access sent;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000;
  server {{
    listen {host}:{port}{socket};
    listen {host}:{tls_port} ssl{socket};
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
    {client}
    root {root};
    location /whole/ {{ alias {root}/; max_ranges 0; }}
    location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
    location /round/ {{ return 302 /round/; }}
    location /down/ {{ return 302 http://{host}:{port}/; }}
  }}
}}
"""


class PrivateNginx(PrivateServer):
    """Serves a folder; below ``/whole/`` without ranges, below ``/moved/`` by a redirect to the file.

    Args:
        root: the folder.
        identity: the certificate for https.
        client_authority: whose certificates a client must have; None: anybody may come.
        far_end: where it runs; None: on loopback.
        buffer: of a socket there, in bytes: what is in one counts as sent, and may never arrive; 0: as it is.
    """

    start_timeout_s = 10
    stop_timeout_s = 5

    def __init__(
        self,
        root: Path,
        identity: Identity,
        client_authority: Identity | None = None,
        *,
        far_end: BadLink | None = None,
        buffer: int = 0,
    ) -> None:
        super().__init__()
        self._far_end = far_end
        self._buffer = f" sndbuf={buffer}" if buffer else ""
        self._host = "127.0.0.1" if far_end is None else far_end.SERVER
        self._root = root
        self._identity = identity
        self._client_authority = client_authority
        self.port = self.tls_port = 0

    @property
    def url(self) -> str:
        """Where the folder is, by plain http."""
        return f"http://{self._host}:{self.port}"

    @property
    def tls_url(self) -> str:
        """Where the folder is, by https."""
        return f"https://{self._host if self._far_end else 'localhost'}:{self.tls_port}"

    def start(self) -> None:
        """Start the server and wait until it listens.

        Raises:
            Unavailable: this machine cannot run it; nothing is left behind.
        """
        _program()
        folder = self._make_folder("bed-nginx-")
        folder.chmod(0o711)  # its workers have a user of their own
        (folder / "certificate.pem").write_bytes(self._identity.certificate_pem)
        (folder / "key.pem").write_bytes(self._identity.key_pem)
        self._configure()
        self.launch()

    def launch(self) -> None:
        """Start it again after `end`, at the same ports.

        Raises:
            Unavailable: it does not come up.
        """
        pid = self.folder / "pid"  # is written when it listens
        pid.unlink(missing_ok=True)
        command = [_program(), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        entering = self._far_end.entering_server() if self._far_end else []
        if not self._launch([*processes.ending_with_parent(), *entering, *command], pid.exists):
            raise self._did_not_start("nginx")

    def sent_bytes(self, path: str) -> int:
        """Return how many bytes of a file were sent, over all requests."""
        return sum(int(sent) for name, sent, _whole in self._access_lines() if name == path)

    def requests(self, path: str) -> int:
        """Return how often a file was asked for."""
        return sum(name == path for name, _sent, _whole in self._access_lines())

    def _access_lines(self) -> list[list[str]]:
        """Return path, bytes and length of every answer: it notes them in order, a bit later."""
        if self._far_end is None:
            self._ask_last()
        return [line.split() for line in (self.folder / "access").read_text().splitlines()]

    def _ask_last(self) -> None:
        with contextlib.suppress(OSError), contextlib.closing(HTTPConnection("127.0.0.1", self.port)) as last:
            last.request("GET", "/bed-settles")
            last.getresponse().read()

    def unfinished(self, path: str) -> int:
        """Return how many answers with a file were not sent to their end."""
        return sum(name == path and sent != whole for name, sent, whole in self._access_lines())

    def _configure(self) -> None:
        self.port, self.tls_port = free_port(), free_port()
        client = ""
        if self._client_authority is not None:
            (self.folder / "clients.pem").write_bytes(self._client_authority.certificate_pem)
            client = f"ssl_client_certificate {self.folder}/clients.pem; ssl_verify_client on;"
        text = _CONFIGURATION.format(
            folder=self.folder,
            root=self._root,
            host=self._host,
            port=self.port,
            tls_port=self.tls_port,
            socket=self._buffer,
            client=client,
        )
        (self.folder / "nginx.conf").write_text(text)


def _program() -> str:
    found = shutil.which("nginx", path=f"/usr/sbin:/usr/local/sbin:{os.environ.get('PATH', '')}")
    if found is None:
        raise Unavailable("nginx", "is not installed")
    return found
