"""A proxy before a real web server, on loopback, whose answers often say another length than they have."""

from __future__ import annotations

import random
import re
from http.client import HTTPConnection, HTTPResponse

from bed.fault_server import FaultServer, Peer, head

_TIMEOUT_S = 5.0
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class LyingProxy(FaultServer):
    """Passes on one request of each connection; of the answers that are parts of a file half are lies.

    Args:
        port: of the server, on loopback.
        seed: which answers are lies, and how they lie.
    """

    def __init__(self, port: int, *, seed: int) -> None:
        super().__init__(self._pass_on)
        self._target = port
        self._draw = random.Random(seed)

    def _pass_on(self, peer: Peer) -> None:
        request = peer.read_request().decode("latin-1")
        method, path, _version = request.partition("\r\n")[0].split(" ")
        lines = (line.split(": ", 1) for line in request.split("\r\n")[1:] if ": " in line)
        server = HTTPConnection("127.0.0.1", self._target, timeout=_TIMEOUT_S)
        try:
            server.request(method, path, headers={**dict(lines), "Connection": "close"})
            answer = server.getresponse()
            peer.send(self._retell(answer, answer.read()))
        finally:
            server.close()

    def _retell(self, answer: HTTPResponse, body: bytes) -> bytes:
        length, where = len(body), answer.getheader("Content-Range", "")
        part = _RANGE.fullmatch(where)
        if part is not None and self._draw.random() < 0.5:
            lie = self._draw.choice(["longer", "shorter", "more than it says", "elsewhere"])
            if lie == "longer":
                length += 1000
            elif lie == "shorter":
                body = body[: length // 2]
                length = len(body)
            elif lie == "more than it says":
                body += bytes(1000)
            else:
                first, last, total = map(int, part.groups())
                where = f"bytes {first + 1}-{last + 1}/{total}"
        told = {"ETag": answer.getheader("ETag"), "Content-Range": where, "Content-Length": str(length)}
        lines = [f"{name}: {value}" for name, value in told.items() if value]
        return head(f"{answer.status} {answer.reason}", *lines, "Connection: close") + body
