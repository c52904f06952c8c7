"""Loading a tar through an engine's API: a chunked POST, and an answer whose failures come inside a 200."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from binary_split.config import LIMITS
from binary_split.engines.api import Abort, LoadSink, LoadStep
from binary_split.engines.connection import HTTP_ERRORS, Connection, message_of, raise_mapped, shorten
from binary_split.engines.wire import raise_if_aborted
from binary_split.errors import EngineAnswerError, EngineLoadError

_WHAT = "load the images"
# Said in the text of a successful answer, after which the image is there but broken (containerd image store).
_FAILURE_TEXT = "error unpacking"
_READ_BYTES = 64 * 1024


def post_tar(
    connection: Connection,
    target: str,
    chunks: Iterable[bytes | memoryview],
    *,
    report: LoadSink,
    abort: Abort,
) -> None:
    """Post a tar and read the answer to its end.

    An error out of ``chunks`` comes out as it is; the engine then sees a tar that is cut off, in a body that
    is not: of a connection that breaks, the containerd store keeps for a day what it has brought.

    Raises:
        EngineLoadError: the engine could not load it.
        EngineAbortedError: the abort was set.
    """
    upload = _Upload(connection, abort)
    upload.start(target)
    try:
        for chunk in chunks:
            if not upload.send(chunk):
                break
        else:
            upload.finish()
    except BaseException:
        upload.finish_early()
        raise
    for line in upload.answer_lines():
        _check_progress_line(line, report)


class _Upload:
    """One POST: what it sends, and the answer, which may come before all is sent."""

    def __init__(self, connection: Connection, abort: Abort) -> None:
        self._connection = connection
        self._abort = abort
        self._response: http.client.HTTPResponse | None = None
        self._broken: OSError | None = None

    def start(self, target: str) -> None:
        """Send the head of the request."""
        with self._errors_mapped():
            self._connection.putrequest("POST", target)
            self._connection.putheader("Content-Type", "application/x-tar")
            self._connection.putheader("Transfer-Encoding", "chunked")
            self._connection.endheaders()

    def send(self, chunk: bytes | memoryview) -> bool:
        """Send a chunk as it is, without a copy; False when the engine wants no more."""
        if not len(chunk):
            return True  # in the chunked coding it would end the body
        self._send(b"%x\r\n" % len(chunk), chunk, b"\r\n")
        return not self._broken and not self._is_refused()

    def finish(self) -> None:
        """Send the end of the body."""
        self._send(b"0\r\n\r\n")

    def finish_early(self) -> None:
        """End the body in the middle of the tar, and wait until the engine has thrown away what it got."""
        if self._broken:
            return
        with suppress(OSError, http.client.HTTPException, ValueError):  # there is an error already
            self._connection.sock.settimeout(LIMITS.engine_end_timeout_s)
            self._connection.sock.sendall(b"0\r\n\r\n")
            (self._response or self._connection.getresponse()).read(LIMITS.engine_error_bytes)

    def answer_lines(self) -> Iterator[bytes]:
        """Give the answer line by line, as they come; a line without end is not waited for."""
        with self._errors_mapped():
            response = self._response or self._connection.getresponse()
            if response.status != 200:
                words = message_of(response.read(LIMITS.engine_error_bytes))
                raise EngineLoadError(f"the engine could not {_WHAT}: {words}")
            line = b""
            while part := response.read1(_READ_BYTES):
                *lines, line = (line + part).split(b"\n")
                if len(line) > LIMITS.engine_line_bytes:
                    raise EngineAnswerError("the engine answered with a line that has no end")
                yield from lines
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
            yield line

    def _send(self, *parts: bytes | memoryview) -> None:
        raise_if_aborted(self._abort)
        try:
            for part in parts:
                self._connection.sock.sendall(part)
        except OSError as error:
            raise_if_aborted(self._abort)
            self._broken = error  # its answer says why, if there is one

    def _is_refused(self) -> bool:
        """Whether the engine has answered early with an error: over TCP it could be lost later."""
        if self._response is None and self._connection.is_readable():
            with self._errors_mapped():
                self._response = self._connection.getresponse()
        return self._response is not None and self._response.status != 200

    @contextmanager
    def _errors_mapped(self) -> Iterator[None]:
        try:
            yield
        except HTTP_ERRORS as error:
            raise_if_aborted(self._abort)
            raise_mapped(self._broken or error, self._connection, _WHAT, EngineLoadError)


def _check_progress_line(line: bytes, report: LoadSink) -> None:
    """Report progress, and look for the failure that the engine tells after it has answered 200."""
    if not line.strip():
        return
    try:
        event = json.loads(line)
    except ValueError:
        event = {"stream": line.decode(errors="replace")}
    if not isinstance(event, Mapping):
        return
    text = str(event.get("stream", ""))
    if "errorDetail" in event or "error" in event:
        detail = event.get("errorDetail")
        text = str(detail.get("message") if isinstance(detail, Mapping) else event.get("error"))
    elif _FAILURE_TEXT not in text.lower():
        _report_step(event, report)
        return
    raise EngineLoadError(f"the engine could not {_WHAT}: {shorten(text)}")


def _report_step(event: Mapping[str, object], report: LoadSink) -> None:
    detail = event.get("progressDetail")
    if not isinstance(detail, Mapping):
        return
    done, total = detail.get("current"), detail.get("total", 0)
    if isinstance(done, int) and isinstance(total, int) and isinstance(event.get("id"), str):
        report(LoadStep(str(event["id"]), done, total))
