"""Requests to web servers that hold archives: connections, what a URL must be, and what errors mean."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import urllib3
import urllib3.exceptions

from binary_split.config import LIMITS
from binary_split.errors import ArchiveUnreadableError, ConfigError
from binary_split.tls import trust
from binary_split.transports.options import HttpOptions, without_query
from binary_split.transports.web.open_sockets import OpenSockets
from binary_split.transports.web.proxy import explain_refusal, make_proxied_pool

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_NO_TLS = {
    "HTTP_REQUEST",
    "NO_PROTOCOLS_AVAILABLE",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}
Body = bytes | Iterable[bytes]
"""What a request sends: one that is not bytes may be gone through twice, and its length is in a header."""


class Access(Protocol):
    """Opens what not everybody may read."""

    def headers(self) -> dict[str, str]:
        """Return what a request says of who asks."""

    def renew(self, response: BaseHTTPResponse, said: Mapping[str, str]) -> bool:
        """Get what the answer 401 asks for; False where there is nothing better to be had than was said."""


class PassingError(Exception):
    """What may have passed a moment later.

    Attributes:
        retry_after_s: what the server asks for; 0.0 where it does not.
    """

    def __init__(self, words: str, retry_after_s: float = 0.0) -> None:
        super().__init__(words)
        self.retry_after_s = retry_after_s


def verify_url(url: str, *, insecure_http: bool) -> None:
    """Check a URL before anything is asked.

    Raises:
        ConfigError: it is none, holds a password, or is plain http beyond loopback.
    """
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError as error:
        raise ConfigError(f"not a URL: {without_query(url)[:200]!r}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"not the URL of an archive: {without_query(url)[:200]!r}", hint="Write https://HOST/NAME.age."
        )
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


def make_pool(options: HttpOptions, opened: OpenSockets) -> urllib3.PoolManager:
    """Return connections to servers, kept alive; nothing is taken from the environment.

    Args:
        options: how servers are reached.
        opened: is told of each socket.

    Raises:
        ConfigError: an option cannot be used.
        SecretFileError: the login of the proxy cannot be read.
    """
    client_certificate = options.client_certificate
    context = trust(options.ca_file)
    if client_certificate is not None:
        try:
            context.load_cert_chain(client_certificate, password=lambda: "")
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{client_certificate} is no certificate with its unencrypted private key, in PEM"
            ) from error
    kept: dict[str, Any] = {"maxsize": LIMITS.http_connections, "ssl_context": context}
    proxy = options.proxy
    pool = make_proxied_pool(proxy, options, **kept) if proxy else urllib3.PoolManager(**kept)
    opened.watch(pool)
    return pool


def send(
    pool: urllib3.PoolManager,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Body | None = None,
    more_s: float = 0.0,
) -> BaseHTTPResponse:
    """Send a request and return the head of its answer; no redirect is followed, nothing is tried again."""
    return pool.request(
        method,
        url,
        headers={"User-Agent": "binary-split", "Accept-Encoding": "identity", **headers},
        body=body,
        redirect=False,
        retries=False,
        preload_content=False,
        decode_content=False,
        timeout=urllib3.Timeout(connect=LIMITS.connect_timeout_s, read=LIMITS.http_read_timeout_s + more_s),
    )


@contextmanager
def asked(
    pool: urllib3.PoolManager,
    opened: OpenSockets,
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    body: Body | None = None,
    more_s: float = 0.0,
    access: Access | None = None,
) -> Iterator[BaseHTTPResponse]:
    """Give the answer to a request; its connection is used again if the body was read to its end.

    Args:
        pool: of the connections.
        opened: knows its sockets, and whether they were cut.
        method: of the request.
        url: whom it goes to.
        headers: what is said besides who asks.
        body: what is sent.
        more_s: than others the answer may take.
        access: says who asks, and is asked once for something better where the server wants it.

    Raises:
        PassingError: what went wrong may have passed a moment later.
        ArchiveUnreadableError: the server is not believed.
    """
    breaks = opened.breaks
    try:
        said = access.headers() if access else {}
        with _released(send(pool, method, url, {**headers, **said}, body, more_s)) as response:
            is_refused = response.status == HTTPStatus.UNAUTHORIZED
            if not is_refused or access is None or not access.renew(response, said):
                opened.verify_uncut(breaks)
                yield response
                return
        with _released(send(pool, method, url, {**headers, **access.headers()}, body, more_s)) as response:
            opened.verify_uncut(breaks)
            yield response
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise _explain(error) from error


@contextmanager
def _released(response: BaseHTTPResponse) -> Iterator[BaseHTTPResponse]:
    """Use the connection again where the body was read to its end; what is not wanted of it is not read."""
    try:
        yield response
    finally:
        if response.length_remaining == 0:
            response.drain_conn()  # of nothing; but http.client keeps an empty body open until it is read
            response.release_conn()
        else:
            response.close()


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """Return what two URLs of one server have in common."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _explain(error: Exception) -> Exception:
    """Return what an error of the libraries means: a server that is not believed, or what may pass."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ArchiveUnreadableError(
                f"the archive's server cannot prove who it is: {cause.verify_message}",
                hint="Check the address and the clock, or name the server's own CA.",
            )
        if isinstance(cause, ssl.SSLError) and (cause.reason or "") in _NO_TLS:
            return ArchiveUnreadableError(
                "the archive's server does not speak TLS 1.2 or newer there", hint="Check the address."
            )
        refusal = explain_refusal(cause)
        if refusal is not None:
            return refusal
        cause = cause.__cause__ or cause.__context__
    return PassingError(type(error).__name__ if not str(error) else str(error).rpartition(": ")[2][:200])
