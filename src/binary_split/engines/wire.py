"""HTTP with an engine: short questions, and streams that another thread can end."""

from __future__ import annotations

import http.client
import json
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from binary_split.config import LIMITS
from binary_split.engines.api import Abort
from binary_split.engines.connection import Connection, errors_mapped, message_of
from binary_split.engines.endpoint import Endpoint
from binary_split.errors import EngineAbortedError, EngineAnswerError, EngineError, EngineUnreachableError

Query = Mapping[str, str | list[str]]
_IDLE_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Question:
    """A short request.

    Attributes:
        what: what it is for, to complete "could not …".
        target: path and query.
        document: the body, as JSON.
        timeout_s: for each wait.
    """

    what: str
    method: str
    target: str
    document: object = None
    timeout_s: float | None = None

    def put_to(self, connection: Connection) -> Answer:
        """Ask it over a connection, which afterwards is ready for the next or closed."""
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(self.timeout_s or LIMITS.engine_ask_timeout_s)
            body = None if self.document is None else json.dumps(self.document).encode()
            headers = {} if body is None else {"Content-Type": "application/json"}
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it read all
                connection.request(self.method, self.target, body, headers)
            response = connection.getresponse()
            content = response.read(LIMITS.engine_answer_bytes)
            is_cut_off = not response.isclosed() and (response.length or response.read(1))
        except BaseException:
            connection.close()
            raise
        if is_cut_off:
            connection.close()
            raise http.client.IncompleteRead(content)
        return Answer(response.status, content)


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


class Wire:
    """Speaks HTTP with the engine at an endpoint; safe to use from several threads at once.

    Attributes:
        prefix: the version of the API, as a path begins with it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.prefix = ""
        self._dial = endpoint.dialler()
        self._idle: deque[Connection] = deque()
        # Not __del__: in a cycle the sockets might be found, and complained of, before it is called.
        weakref.finalize(self, _close_all, self._idle)

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

        Raises:
            EngineError: there is no answer.
        """
        question = Question(what, method, self.target(path, query), document, timeout_s)
        if method == "GET" and (connection := self._take_idle()):
            try:
                return self._put(question, connection)
            except EngineError as error:
                # The engine may have been restarted since, and have closed this one meanwhile.
                if not isinstance(error.__cause__, ConnectionError):
                    raise
        return self._put(question, self._new_connection())

    @contextmanager
    def stream(self, abort: Abort | None = None) -> Iterator[Connection]:
        """Give a connection of its own, without a timeout once it stands, which ``abort`` ends.

        A moment is left between the abort and the end, for whoever can end the exchange in order.

        Raises:
            EngineAbortedError: the abort was set.
            EngineError: there is no connection.
        """
        abort = abort or Abort()
        connection = self._new_connection()
        try:
            with abort.ending(connection.end):
                try:
                    with errors_mapped(connection, "connect to the engine", EngineUnreachableError):
                        connection.connect()
                except EngineError:
                    raise_if_aborted(abort)
                    raise
            connection.sock.settimeout(None)
            with _ending_late(connection) as end, abort.ending(end):
                yield connection
        finally:
            connection.close()

    def target(self, path: str, query: Query | None = None) -> str:
        """Return the address of a path on the engine."""
        return f"{self.prefix}{quote(path, safe='/:')}" + (
            f"?{urlencode(query, doseq=True)}" if query else ""
        )

    def _put(self, question: Question, connection: Connection) -> Answer:
        with errors_mapped(connection, question.what, EngineAnswerError):
            answer = question.put_to(connection)
        if connection.sock is not None:
            if len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    def _new_connection(self) -> Connection:
        return Connection(self.endpoint.address, self._dial)

    def _take_idle(self) -> Connection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.is_readable():
                return connection
            connection.close()


def _close_all(connections: deque[Connection]) -> None:
    while connections:
        connections.pop().close()


@contextmanager
def _ending_late(connection: Connection) -> Iterator[Callable[[], None]]:
    timer = threading.Timer(LIMITS.engine_end_timeout_s, connection.end)
    timer.daemon = True

    def end() -> None:
        with suppress(RuntimeError):  # an abort may be set twice
            timer.start()

    try:
        yield end
    finally:
        timer.cancel()


def raise_if_aborted(abort: Abort) -> None:
    """End a load that is to end.

    Raises:
        EngineAbortedError: it is.
    """
    if abort.is_set():
        raise EngineAbortedError("the load was ended before it was complete")
