"""Parts of one file on a web server, each whole or not at all, and of the same file every time."""

from __future__ import annotations

import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
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
from binary_split.tls import trust
from binary_split.transports.pace import ReadingPace

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
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
    """

    url: str
    size: int
    validator: str


class _PassingError(Exception):
    """What may have passed a moment later.

    Attributes:
        retry_after_s: what the server asks for; 0.0 where it does not.
    """

    def __init__(self, words: str, retry_after_s: float = 0.0) -> None:
        super().__init__(words)
        self.retry_after_s = retry_after_s


class RangeClient:
    """Asks one web server for parts of one file; for any number of threads.

    Args:
        url: of the file.
        ca_file: as `HttpOptions` has it, and so the rest.
        client_certificate: certificate and key.
        proxy: URL.
        bytes_per_s: of all parts together.
        insecure_http: allow plain http.

    Raises:
        ConfigError: one of them cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None,
        client_certificate: Path | None,
        proxy: str | None,
        bytes_per_s: int | None,
        insecure_http: bool,
    ) -> None:
        self._url = url
        self._insecure_http = insecure_http
        _verify_url(url, insecure_http=insecure_http)
        self._pace = ReadingPace(bytes_per_s)
        self._ended = threading.Event()
        self._last_byte = time.monotonic()
        self._anyone = self._own = _make_pool(ca_file, None, proxy)
        if client_certificate is not None:
            self._own = _make_pool(ca_file, client_certificate, proxy)

    @property
    def is_cut(self) -> bool:
        """Whether nothing is read any more."""
        return self._ended.is_set()

    def cut(self) -> None:
        """Wait for nothing any more."""
        self._ended.set()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._own.clear()
        self._anyone.clear()

    def find(self) -> Representation:
        """Find the file, through redirects.

        Raises:
            ArchiveUnreachableError: the server does not answer in time.
            ArchiveUnreadableError: it has no such file, refuses it, or gives no parts of it.
        """
        return self._patiently(self._find, LIMITS.fetch_deadline_s)

    def fetch(self, file: Representation, offset: int, size: int) -> bytes:
        """Return a part of the file.

        Raises:
            ArchiveUnreachableError: the server was silent for too long, or nothing is read any more.
            ArchiveUnreadableError: it refuses the file now.
            ArchiveChangedError: it has another file there now.
        """
        return self._patiently(lambda: self._fetch(file, offset, size), LIMITS.http_patience_s)

    def _find(self) -> Representation:
        url = self._url
        for _hop in range(LIMITS.http_redirects + 1):
            with self._asked(url, {"Range": "bytes=0-0"}) as response:
                if response.status in _REDIRECTS:
                    url = self._follow(url, response.headers.get("Location", ""))
                    continue
                _verify_status(response, self._url)
                if response.status != HTTPStatus.PARTIAL_CONTENT:
                    raise ArchiveUnreadableError(
                        f"the server of {self._url} gives no parts of it",
                        hint="Copy the archive to this machine, or let the server answer range requests.",
                    )
                _first, _last, total = _parse_content_range(response)
                return Representation(url, total, _validator(response))
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
                raise _PassingError("the server gave another part than was asked for")
            return self._read(response, size)

    def _read(self, response: BaseHTTPResponse, size: int) -> bytes:
        parts: list[bytes] = []
        missing = size
        while missing:
            if self.is_cut:
                raise ArchiveUnreachableError("the archive is not read any more")
            part = response.read(min(missing, _STEP_BYTES))
            if not part:
                raise _PassingError("the answer was cut off")
            self._last_byte = time.monotonic()
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
            _verify_url(target, insecure_http=self._insecure_http)
        except ConfigError as error:
            raise ArchiveUnreadableError(
                f"{self._url} leads to an address that is not safe: {error}"
            ) from error
        return target

    @contextmanager
    def _asked(self, url: str, headers: dict[str, str]) -> Iterator[BaseHTTPResponse]:
        """Give the answer to a GET; its connection is used again if the body was read to its end."""
        pool = self._own if _origin(url) == _origin(self._url) else self._anyone
        try:
            response = pool.request(
                "GET",
                url,
                headers={"User-Agent": "binary-split", "Accept-Encoding": "identity", **headers},
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=LIMITS.connect_timeout_s, read=LIMITS.read_timeout_s),
            )
            try:
                yield response
            finally:
                if response.length_remaining == 0:
                    response.release_conn()
                else:
                    response.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _explain(error) from error

    def _patiently(self, ask: Callable[[], _T], patience_s: float) -> _T:
        """Ask until there is an answer; give up when nobody was given a byte for too long."""
        started = time.monotonic()
        attempt = 0
        while True:
            if self.is_cut:
                raise ArchiveUnreachableError("the archive is not read any more")
            try:
                return ask()
            except _PassingError as error:
                if time.monotonic() - max(started, self._last_byte) > patience_s:
                    raise ArchiveUnreachableError(f"cannot read {self._url}: {error}") from error
                pause_s = min(LIMITS.backoff_first_s * 2**attempt, LIMITS.http_backoff_cap_s)
                pause_s *= random.uniform(0.5, 1.0)  # noqa: S311 - a fleet must not come all at once
                self._ended.wait(max(pause_s, min(error.retry_after_s, LIMITS.retry_after_cap_s)))
                attempt = min(attempt + 1, 16)


def _verify_url(url: str, *, insecure_http: bool) -> None:
    """Check a URL before anything is asked.

    Raises:
        ConfigError: it is none, holds a password, or is plain http beyond loopback.
    """
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError as error:
        raise ConfigError(f"not a URL: {url[:200]!r}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"not the URL of an archive: {url[:200]!r}", hint="Write https://HOST/NAME.age.")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "the archive's URL holds a user or a password",
            hint="Archives are sealed: let everybody read them.",
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not insecure_http:
        raise ConfigError(
            f"plain http to {parts.hostname}",
            hint="Use https, or --insecure-http: the archive proves itself.",
        )


def _make_pool(
    ca_file: Path | None, client_certificate: Path | None, proxy: str | None
) -> urllib3.PoolManager:
    context = trust(ca_file)
    if client_certificate is not None:
        try:
            context.load_cert_chain(client_certificate, password=lambda: "")
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{client_certificate} is no certificate with its unencrypted private key, in PEM"
            ) from error
    if proxy is None:
        return urllib3.PoolManager(maxsize=LIMITS.http_connections, ssl_context=context)
    try:
        return urllib3.ProxyManager(proxy, maxsize=LIMITS.http_connections, ssl_context=context)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise ConfigError(f"not the URL of a proxy: {proxy[:200]!r}") from error


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _verify_status(response: BaseHTTPResponse, url: str) -> None:
    """Check an answer that is no redirect.

    Raises:
        _PassingError: the server has no time.
        ArchiveUnreadableError: it refuses the file.
    """
    status = response.status
    if status in _PASSING:
        raise _PassingError(f"the server answers {status}", _retry_after_s(response))
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


def _explain(error: Exception) -> Exception:
    """Return what an error of the libraries means: a server that is not believed, or what may pass."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ArchiveUnreadableError(
                f"the archive's server cannot prove who it is: {cause.verify_message}",
                hint="Check the address and the clock, or name the server's own CA.",
            )
        cause = cause.__cause__ or cause.__context__
    return _PassingError(type(error).__name__ if not str(error) else str(error).rpartition(": ")[2][:200])
