"""The part of OpenBao's and Vault's HTTP API that a wrapped key needs: one transit key, one token.

It follows the API's documents (paths, names, error bodies, status codes) and encrypts for real; it stands in
where neither program can be installed.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_BODY_BYTES = 64 * 1024


class TransitServer:
    """Runs on loopback until it is left.

    Attributes:
        token: the only one it takes.
        is_sealed: while set, it answers as a sealed engine does.
    """

    def __init__(self) -> None:
        self.token = f"hvs.{os.urandom(12).hex()}"
        self.is_sealed = False
        self.requests: list[str] = []
        self._aead = AESGCM(AESGCM.generate_key(bit_length=256))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, path: str, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the status and the document that answer a request."""
        self.requests.append(path)
        if self.is_sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        context = base64.b64decode(body.get("associated_data", ""))
        if path == "/v1/transit/encrypt/kek":
            nonce = os.urandom(12)
            sealed = nonce + self._aead.encrypt(nonce, base64.b64decode(body["plaintext"]), context)
            return 200, {"data": {"ciphertext": f"vault:v1:{base64.b64encode(sealed).decode()}"}}
        if path == "/v1/transit/decrypt/kek":
            try:
                sealed = base64.b64decode(body["ciphertext"].removeprefix("vault:v1:"), validate=True)
                plain = self._aead.decrypt(sealed[:12], sealed[12:], context)
            except (InvalidTag, binascii.Error, ValueError):
                return 400, {"errors": ["cipher: message authentication failed"]}
            return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}
        return 404, {"errors": []}


def _handler_of(server: TransitServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length", "0")), _BODY_BYTES)
            body = json.loads(self.rfile.read(length) or b"{}")
            status, document = server.answer(self.path, self.headers.get("X-Vault-Token", ""), body)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Stay quiet."""

    return Handler
