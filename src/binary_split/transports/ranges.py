"""Parts of one file on a web server, each whole or not at all, and of the same file every time."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

import urllib3
import urllib3.exceptions

from binary_split.config import LIMITS
from binary_split.errors import (
    ArchiveChangedError,
    ArchiveUnreachableError,
    ArchiveUnreadableError,
    ConfigError,
)
from binary_split.transports.http_pool import (
    Access,
    PassingError,
    explain,
    make_pool,
    origin_of,
    send,
    verify_url,
)
from binary_split.transports.options import HttpOptions
from binary_split.transports.pace import ReadingPace

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_REDIRECTS = {301, 302, 303, 307, 308}
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_STEP_BYTES = 64 * 1024
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Representation:
    """One file, as the server had it when it was found (RFC 9110, section 8.8).

    Attributes:
        url: where it is, behind all redirects.
        size: in bytes.
        validator: its strong ETag, or else when it was last modified; empty: the server names none.
        head: its first bytes, which came with the answer: a whole block, or all of it.
    """

    url: str
    size: int
    validator: str
    head: bytes = field(default=b"", repr=False)


class RangeClient:
    """Asks one web server for parts of one file; for any number of threads.

    Args:
        url: of the file.
        options: how the server is reached.
        ended: once it is set nothing is waited for any more.
        access: opens the file's own origin, where not everybody may read it.

    Attributes:
        last_byte: when the server gave one last, in monotonic seconds.

    Raises:
        ConfigError: one of them cannot be used.
    """

    def __init__(
        self,
        url: str,
        options: HttpOptions,
        ended: threading.Event,
        access: Access | None = None,
    ) -> None:
        self._url = url
        self._insecure_http = options.insecure_http
        verify_url(url, insecure_http=options.insecure_http)
        self._access = access
        self._pace = ReadingPace(options.bytes_per_s)
        self._ended = ended
        self.last_byte = time.monotonic()
        self._anyone = self._own = make_pool(replace(options, client_certificate=None))
        if options.client_certificate is not None:
            self._own = make_pool(options)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._own.clear()
        self._anyone.clear()

    def find(self, patience_s: float) -> Representation:
        """Find the file, through redirects, and read its first block: whoever opens an archive wants that.

        Raises:
            ArchiveUnreachableError: the server does not answer in time.
            ArchiveUnreadableError: it has no such file, refuses it, or gives no parts of it.
        """
        return self._patiently(self._find, patience_s)

    def fetch(self, file: Representation, offset: int, size: int, patience_s: float) -> bytes:
        """Return a part of the file.

        Args:
            file: the file.
            offset: of the part, in bytes.
            size: in bytes.
            patience_s: how long no byte may come before it is given up.

        Raises:
            ArchiveUnreachableError: the server was silent for too long, or nothing is read any more.
            ArchiveUnreadableError: it refuses the file now.
            ArchiveChangedError: it has another file there now.
        """
        return self._patiently(lambda: self._fetch(file, offset, size), patience_s)

    def _find(self) -> Representation:
        url = self._url
        for _hop in range(LIMITS.http_redirects + 1):
            with self._asked(url, {"Range": f"bytes=0-{LIMITS.http_block_bytes - 1}"}) as response:
                if response.status in _REDIRECTS:
                    url = self._follow(url, response.headers.get("Location", ""))
                    continue
                _verify_status(response, self._url)
                if response.status != HTTPStatus.PARTIAL_CONTENT:
                    raise ArchiveUnreadableError(
                        f"the server of {self._url} gives no parts of it",
                        hint="Copy the archive to this machine, or let the server answer range requests.",
                    )
                first, last, total = _parse_content_range(response)
                if (first, last) != (0, min(LIMITS.http_block_bytes, total) - 1):
                    raise PassingError("the server gave another part than was asked for")
                head = self._read(response, last + 1)
                return Representation(url, total, _validator(response), head)
        raise ArchiveUnreadableError(f"{self._url} leads from one address to the next without an end")

    def _fetch(self, file: Representation, offset: int, size: int) -> bytes:
        wanted = {"Range": f"bytes={offset}-{offset + size - 1}"}
        if file.validator:
            wanted["If-Range"] = file.validator
        with self._asked(file.url, wanted) as response:
            _verify_status(response, self._url)
            if response.status != HTTPStatus.PARTIAL_CONTENT:  # that is how If-Range says: another one
                raise ArchiveChangedError(f"{self._url} is another file than it was")
            first, last, total = _parse_content_range(response)
            if total != file.size or _validator(response) not in {file.validator, ""}:
                raise ArchiveChangedError(f"{self._url} is another file than it was")
            if (first, last) != (offset, offset + size - 1):
                raise PassingError("the server gave another part than was asked for")
            return self._read(response, size)

    def _read(self, response: BaseHTTPResponse, size: int) -> bytes:
        parts: list[bytes] = []
        missing = size
        while missing:
            if self._ended.is_set():
                raise ArchiveUnreachableError("the archive is not read any more")
            part = response.read(min(missing, _STEP_BYTES))
            if not part:
                raise PassingError("the answer was cut off")
            self.last_byte = time.monotonic()
            self._pace.wait(len(part), self._ended)
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _follow(self, url: str, location: str) -> str:
        """Return where a redirect leads: never from https to http, and nowhere with a password."""
        target = urljoin(url, location)
        if not location or (urlsplit(url).scheme, urlsplit(target).scheme) == ("https", "http"):
            raise ArchiveUnreadableError(f"{self._url} leads to an address that is not safe: {target[:200]}")
        try:
            verify_url(target, insecure_http=self._insecure_http)
        except ConfigError as error:
            raise ArchiveUnreadableError(
                f"{self._url} leads to an address that is not safe: {error}"
            ) from error
        return target

    @contextmanager
    def _asked(self, url: str, headers: dict[str, str]) -> Iterator[BaseHTTPResponse]:
        """Give the answer to a GET; its connection is used again if the body was read to its end."""
        is_own = origin_of(url) == origin_of(self._url)
        pool = self._own if is_own else self._anyone
        access = self._access if is_own else None
        try:
            response = send(pool, "GET", url, headers | (access.headers() if access else {}))
            if response.status == HTTPStatus.UNAUTHORIZED and access and access.renew(response):
                response.close()
                response = send(pool, "GET", url, headers | access.headers())
            try:
                yield response
            finally:
                if response.length_remaining == 0:
                    response.release_conn()
                else:
                    response.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise explain(error) from error

    def _patiently(self, ask: Callable[[], _T], patience_s: float) -> _T:
        """Ask until there is an answer; give up when nobody was given a byte for too long."""
        started = time.monotonic()
        attempt = 0
        while True:
            if self._ended.is_set():
                raise ArchiveUnreachableError("the archive is not read any more")
            try:
                return ask()
            except PassingError as error:
                if time.monotonic() - max(started, self.last_byte) > patience_s:
                    raise ArchiveUnreachableError(f"cannot read {self._url}: {error}") from error
                pause_s = min(LIMITS.backoff_first_s * 2**attempt, LIMITS.http_backoff_cap_s)
                pause_s *= random.uniform(0.5, 1.0)  # noqa: S311 - a fleet must not come all at once
                self._ended.wait(max(pause_s, min(error.retry_after_s, LIMITS.retry_after_cap_s, patience_s)))
                attempt = min(attempt + 1, 16)


def _verify_status(response: BaseHTTPResponse, url: str) -> None:
    """Check an answer that is no redirect.

    Raises:
        PassingError: the server has no time.
        ArchiveUnreadableError: it refuses the file.
    """
    status = response.status
    if status in _PASSING:
        raise PassingError(f"the server answers {status}", _retry_after_s(response))
    if status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        raise ArchiveUnreadableError(f"the server of {url} answers {status}", hint=_HINTS.get(status))


_HINTS: dict[int, str] = {
    HTTPStatus.NOT_FOUND: "Check the address: there is no such file.",
    HTTPStatus.FORBIDDEN: "The server does not let this machine read the file: ask who runs it.",
    HTTPStatus.UNAUTHORIZED: "An archive is sealed: let all read it, or ask for a client certificate.",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "The file is empty or was cut.",
}


def _retry_after_s(response: BaseHTTPResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _parse_content_range(response: BaseHTTPResponse) -> tuple[int, int, int]:
    """Return the first and the last place of a part, and the size of the whole (RFC 9110, section 14.4).

    Raises:
        ArchiveUnreadableError: the server does not say it right.
    """
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or response.headers.get("Content-Encoding", "identity") != "identity":
        raise ArchiveUnreadableError("the server gives parts in a way that nobody can use")
    first, last, total = (int(number) for number in match.groups())
    return first, last, total


def _validator(response: BaseHTTPResponse) -> str:
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
