"""One connection to an engine: HTTP over whatever carries it, and what its failures mean.

It is the standard library's HTTP client. What a request library adds (redirects, cookies, proxies, decoding)
must not happen here, and another thread must be able to end a connection whatever it waits for.
"""

from __future__ import annotations

import errno
import http.client
import json
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from binary_split.config import LIMITS
from binary_split.engines.dialling import Connected
from binary_split.engines.endpoint import Dial
from binary_split.errors import (
    EngineAnswerError,
    EngineError,
    EnginePermissionError,
    EngineTimeoutError,
    EngineTlsError,
    EngineUnreachableError,
)

HTTP_ERRORS = (OSError, http.client.HTTPException, ValueError)
"""What a connection raises; ``ValueError`` where an answer makes no sense."""

_UNREACHABLE = {errno.ENOENT, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOTDIR}


class Connection(http.client.HTTPConnection):
    """One connection to an engine, whatever carries it."""

    def __init__(self, address: str, dial: Dial) -> None:
        super().__init__("docker")
        self.address = address
        self._dial = dial
        self._connected: Connected | None = None
        self._is_ended = False

    def connect(self) -> None:
        """Connect, within the time that a connection may take."""
        self._connected = self._dial(LIMITS.engine_connect_timeout_s)
        self.sock = self._connected.socket
        if self._is_ended:
            self._connected.end()
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.do_handshake()

    def end(self) -> None:
        """Wake up, from another thread, whoever waits for this connection."""
        self._is_ended = True
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
    except HTTP_ERRORS as error:
        raise_mapped(error, connection, what, kind)


def raise_mapped(error: Exception, connection: Connection, what: str, kind: type[EngineError]) -> NoReturn:
    """Raise our error for one that a connection raised.

    Args:
        error: what it raised.
        connection: which.
        what: what it was for, to complete "could not …".
        kind: the error of whatever has no kind of its own.
    """
    words = shorten(connection.last_words())
    if isinstance(error, PermissionError) or "permission denied" in words.lower():
        raise EnginePermissionError(f"could not {what}: {words or 'not permitted'}") from error
    if isinstance(error, TimeoutError):
        raise EngineTimeoutError(f"could not {what}: it does not answer") from error
    if isinstance(error, ssl.SSLError):
        raise EngineTlsError(f"could not {what}: {error}") from error
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        raise EngineUnreachableError(f"could not {what}: nothing answers at {connection.address}") from error
    is_far = bool(words) and kind is EngineAnswerError
    if is_far or isinstance(error, socket.gaierror):
        raise EngineUnreachableError(f"could not {what}: {words or error}") from error
    raise kind(f"could not {what}: {words or shorten(str(error)) or type(error).__name__}") from error
