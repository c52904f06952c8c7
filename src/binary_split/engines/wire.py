"""HTTP with an engine over any connection: short questions, and streams that another thread can end.

It is the standard library's HTTP client. What a request library adds (redirects, cookies, proxies, decoding)
must not happen here, and each gigabyte that it copies once more costs.
"""

from __future__ import annotations

import http.client
import json
import select
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

from binary_split.config import LIMITS
from binary_split.engines.endpoint import Connected, Endpoint
from binary_split.errors import (
    EngineAnswerError,
    EngineError,
    EnginePermissionError,
    EngineTimeoutError,
    EngineTlsError,
    EngineUnreachableError,
)

Query = Mapping[str, str | list[str]]
_HTTP_ERRORS = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True, slots=True)
class Answer:
    """An engine's answer to a question.

    Attributes:
        status: of HTTP.
        body: whole.
    """

    status: int
    body: bytes

    @property
    def message(self) -> str:
        """The engine's own words where it answers with an error."""
        return message_of(self.body)

    def raise_if_refused(self, what: str) -> None:
        """Raise what the engine says went wrong.

        Raises:
            EngineAnswerError: it says so.
        """
        if self.status >= 400:
            raise EngineAnswerError(f"could not {what}: {self.message}")

    def read_json(self, kind: type, what: str) -> Any:
        """Parse the body.

        Raises:
            EngineAnswerError: it is an error, or no JSON of that kind.
        """
        self.raise_if_refused(what)
        try:
            document = json.loads(self.body)
        except ValueError as error:
            raise EngineAnswerError(f"could not {what}: the answer is not JSON") from error
        if not isinstance(document, kind):
            raise EngineAnswerError(f"could not {what}: the answer makes no sense")
        return document


class Connection(http.client.HTTPConnection):
    """One connection to an engine, whatever carries it."""

    def __init__(self, dial: Callable[[float], Connected]) -> None:
        super().__init__("docker")
        self._dial = dial
        self._connected: Connected | None = None

    def connect(self) -> None:
        """Connect, within the time that a connection may take."""
        self._connected = self._dial(LIMITS.engine_connect_timeout_s)
        self.sock = self._connected.socket

    def end(self) -> None:
        """Wake up, from another thread, whoever waits for this connection."""
        if self._connected:
            self._connected.end()

    def last_words(self) -> str:
        """Return what the program that carried the connection said when it ended."""
        return self._connected.last_words() if self._connected else ""

    def is_readable(self) -> bool:
        """Whether the engine has said something, or has closed, unasked; a TLS socket does not tell."""
        if isinstance(self.sock, ssl.SSLSocket):
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))


class Wire:
    """Speaks HTTP with the engine at an endpoint; safe to use from several threads at once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.prefix = ""
        self._dial = endpoint.dialler()
        self._idle: deque[Connection] = deque(maxlen=8)

    def __del__(self) -> None:
        for connection in getattr(self, "_idle", ()):
            connection.close()

    def ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Query | None = None,
        document: object = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Ask a short question and return the answer, an error's too.

        Args:
            method: of HTTP.
            path: without version.
            what: what the question is for, to complete "could not …".
            query: the address's query.
            document: the body, as JSON.
            timeout_s: for each wait.

        Raises:
            EngineError: there is no answer.
        """
        body = None if document is None else json.dumps(document).encode()
        headers = {"Content-Type": "application/json"} if body else {}
        connection = self._take_idle() if method == "GET" else None
        target = self.target(path, query)
        if connection:
            with suppress(*_HTTP_ERRORS):  # the engine may have been restarted since
                return self._exchange(connection, method, target, body, headers, timeout_s)
        connection = Connection(self._dial)
        with errors_mapped(connection, what, EngineAnswerError):
            return self._exchange(connection, method, target, body, headers, timeout_s)

    @contextmanager
    def stream(self) -> Iterator[Connection]:
        """Give a connection of its own, without a timeout once it stands."""
        connection = Connection(self._dial)
        try:
            with errors_mapped(connection, "connect to the engine", EngineUnreachableError):
                connection.connect()
            connection.sock.settimeout(None)
            yield connection
        finally:
            connection.close()

    def target(self, path: str, query: Query | None = None) -> str:
        """Return the address of a path on the engine."""
        return f"{self.prefix}{quote(path, safe='/:')}" + (
            f"?{urlencode(query, doseq=True)}" if query else ""
        )

    def _take_idle(self) -> Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.is_readable():
                return connection
            connection.close()

    def _exchange(
        self,
        connection: Connection,
        method: str,
        target: str,
        body: bytes | None,
        headers: dict[str, str],
        timeout_s: float | None,
    ) -> Answer:
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(timeout_s or LIMITS.engine_ask_timeout_s)
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            content = response.read(LIMITS.engine_answer_bytes)
            is_whole = response.isclosed() or not (response.length or response.read(1))
        except BaseException:
            connection.close()
            raise
        if not is_whole:
            connection.close()
            raise http.client.IncompleteRead(b"")
        if connection.sock is None or len(self._idle) == self._idle.maxlen:
            connection.close()
        else:
            self._idle.append(connection)
        return Answer(response.status, content)


def message_of(body: bytes) -> str:
    """Return the text of an engine's error, shortened."""
    try:
        return shorten(str(json.loads(body)["message"]))
    except (ValueError, KeyError, TypeError):
        return shorten(body.decode(errors="replace"))


def shorten(text: str) -> str:
    """Return the beginning of foreign words."""
    return text.strip()[:1000]


@contextmanager
def errors_mapped(connection: Connection, what: str, kind: type[EngineError]) -> Iterator[None]:
    """Turn whatever a connection raises into our errors."""
    try:
        yield
    except _HTTP_ERRORS as error:
        raise_mapped(error, connection, what, kind)


def raise_mapped(error: Exception, connection: Connection, what: str, kind: type[EngineError]) -> NoReturn:
    """Raise our error for one that a connection raised."""
    words = connection.last_words()
    if isinstance(error, PermissionError) or "permission denied" in words.lower():
        raise EnginePermissionError(f"could not {what}: {shorten(words) or 'not permitted'}") from error
    if isinstance(error, TimeoutError):
        raise EngineTimeoutError(f"could not {what}: it does not answer") from error
    if isinstance(error, ssl.SSLError):
        raise EngineTlsError(f"could not {what}: {error}") from error
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        raise EngineUnreachableError(f"could not {what}: nothing answers there") from error
    if words and kind is EngineAnswerError:
        raise EngineUnreachableError(f"could not {what}: {shorten(words)}") from error
    raise kind(f"could not {what}: {shorten(words or str(error) or type(error).__name__)}") from error
