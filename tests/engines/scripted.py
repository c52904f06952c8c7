"""An engine that answers as it is told: for what no real one can be made to do on demand."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from bed.threads import ThreadServer

_TIMEOUT_S = 5.0
_VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}


class Peer:
    """The engine's end of one request."""

    def __init__(self, sock: socket.socket, engine: ScriptedEngine) -> None:
        self._sock = sock
        self._rest = b""
        self._is_body_read = False
        self.engine = engine

    def read_head(self) -> str:
        """Read the request's header and return ``METHOD /path``, without API version and query."""
        while b"\r\n\r\n" not in self._rest:
            part = self._sock.recv(65536)
            if not part:
                return ""
            self._rest += part
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        method, target, _protocol = head.split(b"\r\n")[0].decode().split(" ")
        return f"{method} {re.sub(r'^/v[0-9.]+', '', target).partition('?')[0]}"

    def read_body(self) -> int:
        """Read a chunked body to its end; return how many bytes came, the coding included."""
        size = len(self._rest)
        tail = self._rest[-5:]
        while tail != b"0\r\n\r\n":
            part = self._sock.recv(1 << 20)
            if not part:
                break
            size += len(part)
            tail = (tail + part)[-5:]
        return size

    def receive(self, size: int) -> bytes:
        """Return some bytes of the body, the coding included; none at its end."""
        if self._is_body_read:
            return b""
        part = self._rest or self._sock.recv(size)
        self._rest = b""
        self._is_body_read = part.endswith(b"0\r\n\r\n")
        return part

    def send(self, content: bytes) -> None:
        self._sock.sendall(content)

    def answer(self, body: bytes, *, status: str = "200 OK", length: int | None = None) -> None:
        """Answer with a body; ``length`` may promise more than comes."""
        promised = len(body) if length is None else length
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        self.send(f"{head}Content-Length: {promised}\r\n\r\n".encode() + body)

    def pause(self, seconds: float) -> bool:
        """Wait; return True as soon as the engine stops."""
        return self.engine.stopping.wait(seconds)


Script = Callable[[Peer], None]
Scripts = Mapping[str, Script]


class ScriptedEngine(ThreadServer):
    """Runs a script for each request, chosen by ``METHOD /path``; ``GET /version`` is answered anyway.

    Attributes:
        requests: what was asked, in order.
    """

    def __init__(self, path: Path, scripts: Scripts) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        super().__init__(listener)
        self.path = path
        self.requests: list[str] = []
        self._scripts: Scripts = {"GET /version": say(json.dumps(_VERSION).encode()), **scripts}

    def _serve(self, sock: socket.socket, number: int) -> None:
        # The client leaves in the middle of some scripts: that is what they are for.
        with contextlib.suppress(OSError), sock:
            sock.settimeout(_TIMEOUT_S)
            peer = Peer(sock, self)
            asked = peer.read_head()
            if asked:
                self.requests.append(asked)
                self._scripts.get(asked, _not_found)(peer)


def say(body: bytes, *, status: str = "200 OK") -> Script:
    """Return the script that answers with a body."""
    return lambda peer: peer.answer(body, status=status)


def swallow_and_say(body: bytes) -> Script:
    """Return the script that reads all that is sent and then answers 200 with a body."""

    def script(peer: Peer) -> None:
        peer.read_body()
        peer.answer(body)

    return script


def _not_found(peer: Peer) -> None:
    peer.answer(b'{"message":"No such image: that"}', status="404 Not Found")
