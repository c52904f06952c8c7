"""A client of the agent: over a unix socket, or over TCP."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPMessage
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Event:
    """A server-sent event."""

    id: int
    status: dict[str, Any]
    at: float


@dataclass
class Client:
    """Asks the agent at ``unix:PATH`` or at an http URL."""

    url: str
    token: str = ""
    context: ssl.SSLContext | None = None
    timeout_s: float = TIMEOUT_S
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, document: object = None, **headers: str) -> Answer:
        body = None if document is None else json.dumps(document).encode()
        with self.asking(method, path, body, **headers) as answer:
            return Answer(answer.status, answer.headers, answer.read())

    def unlock(self, **wish: str) -> Answer:
        return self.ask("POST", "/unlock", wish or None)

    def cancel(self) -> Answer:
        return self.ask("POST", "/unlock/cancel")

    def status(self) -> dict[str, Any]:
        answer = self.ask("GET", "/unlock/status")
        assert answer.status == 200, answer
        document: dict[str, Any] = answer.document
        return document

    def wait(
        self,
        is_so: Callable[[dict[str, Any]], bool] = lambda status: not status["is_running"],
        *,
        timeout_s: float = 40,
    ) -> dict[str, Any]:
        """Return the first status of which something is so; by default, that nothing is under way."""
        deadline = time.monotonic() + timeout_s
        while not is_so(status := self.status()):
            assert time.monotonic() < deadline, status
            time.sleep(0.02)
        return status

    @contextmanager
    def following(self, **headers: str) -> Iterator[Iterator[Event]]:
        """Give the events that come until the block is left, or the agent ends the stream."""
        with self.asking("GET", "/unlock/events", None, **headers) as answer:
            assert answer.status == 200, answer.read()
            assert answer.headers.get_content_type() == "text/event-stream"
            yield parse_events(answer)

    @contextmanager
    def asking(
        self, method: str, path: str, body: bytes | None, **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        sent = {name.replace("_", "-"): value for name, value in {**self.headers, **headers}.items()}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = self._connection()
        try:
            with suppress(BrokenPipeError):  # of a body that is too long the rest is not waited for
                connection.request(method, path, body, sent)
            yield connection.getresponse()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.url.startswith("unix:"):
            connection = http.client.HTTPConnection("localhost", timeout=self.timeout_s)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(self.timeout_s)
            connection.sock.connect(self.url.removeprefix("unix:"))
            return connection
        address = urlsplit(self.url)
        host, port = str(address.hostname), address.port
        if address.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=self.context)
        return http.client.HTTPConnection(host, port, timeout=self.timeout_s)


def parse_events(answer: http.client.HTTPResponse) -> Iterator[Event]:
    fields: dict[str, str] = {}
    while line := answer.readline():
        text = line.decode().rstrip("\n")
        if text:
            name, _, value = text.partition(": ")
            fields[name] = value
        elif "data" in fields:
            assert fields["event"] == "status"
            yield Event(int(fields["id"]), json.loads(fields["data"]), time.monotonic())
            fields = {}
