"""A door of a service on a real socket, and ways to ask there that no library would let through."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp

from binary_split.service.server import build_server, run_server


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: Message


@dataclass(frozen=True)
class Door:
    """Where a service listens: a port on 127.0.0.1, or a unix socket."""

    port: int = 0
    path: Path | None = None
    context: ssl.SSLContext | None = None

    def ask(self, method: str = "GET", path: str = "/who", body: str = "", **headers: str) -> Answer:
        """Ask with exactly these headers; ``_`` stands for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = self._connect()
        try:
            connection.putrequest(method, path, skip_host="Host" in named, skip_accept_encoding=True)
            for name, value in named.items():
                connection.putheader(name, value)
            if body:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body.encode())
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(), answer.headers)
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self.context is not None:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.context)
        connection = http.client.HTTPConnection(
            "localhost" if self.path else "127.0.0.1", self.port or 80, timeout=10
        )
        if self.path is not None:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(10)
            connection.sock.connect(str(self.path))
        return connection


@contextmanager
def listening(
    app: ASGIApp | FastAPI, listener: socket.socket, context: ssl.SSLContext | None
) -> Iterator[None]:
    """Answer on a listening socket until the block ends."""
    server = build_server(app, context, head_s=5)
    thread = threading.Thread(target=run_server, args=(server, listener))
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()
    assert not thread.is_alive()
