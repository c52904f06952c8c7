"""Which addresses a token may be sent to; decided from the text alone, before anything is sent."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, quote, urlsplit

from binary_split.errors import KeyServiceUrlError

_PORTS = {"https": 443, "http": 80}
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_NAME_MAX = 253
# WHATWG URL, section 3.5 "ends in a number": resolvers read such a host as IPv4, in octal or hex too.
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where something is asked for.

    Attributes:
        url: the whole URL; it holds no secret.
        host: a name, or an IP address without brackets.
    """

    url: str
    scheme: str
    host: str
    port: int

    @property
    def is_https(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme == "https"


def fragment_path(key_id: str | None = None) -> str:
    """Return the path of the fragment in the plain: of one key, or of the token's own."""
    query = "" if key_id is None else f"?key_id={quote(key_id, safe='')}"
    return f"/binary-split/key-fragment{query}"


def release_path(key_id: str) -> str:
    """Return the path where a sealed fragment is asked for."""
    return f"/v1/keys/{quote(key_id, safe='')}/release"


ENROL_PATH = "/v1/enroll"
READY_PATH = "/readyz"


def parse_address(base_url: str, path: str, *, insecure_http: bool = False) -> Address:
    """Check the resource API's URL and append a path to it.

    No message repeats the URL: it may hold a password, wherever a mistyped one put it.

    Raises:
        KeyServiceUrlError: a token is never sent there.
    """
    if not _PRINTABLE.fullmatch(base_url) or "\\" in base_url:
        raise KeyServiceUrlError(
            "the URL is empty or holds spaces, control characters, backslashes or non-ASCII characters",
            hint="Write the URL without spaces, and an international host name in its xn-- form.",
        )
    parts, port = _split(base_url)
    host = parts.hostname or ""
    ip = _check_host(host, bracketed="[" in parts.netloc)
    if parts.scheme == "http" and not (insecure_http or _is_loopback(host, ip)):
        raise KeyServiceUrlError(
            "http:// would send the token in the open",
            hint="Use https://; --insecure-http allows it on a network that you trust.",
        )
    url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{path}"
    return Address(url=url, scheme=parts.scheme, host=host, port=port)


def _split(base_url: str) -> tuple[SplitResult, int]:
    parts: SplitResult | None = None
    with contextlib.suppress(ValueError):
        split = urlsplit(base_url)
        port = split.port
        parts = split
    if parts is None:  # raised out here, so that the library's error, which quotes the URL, is not chained
        raise KeyServiceUrlError("the URL is malformed: check the host and the port")
    if parts.scheme not in _PORTS:
        raise KeyServiceUrlError("the URL is not an https:// one")
    if "@" in parts.netloc:
        raise KeyServiceUrlError("the URL holds a user name or a password")
    if "?" in base_url or "#" in base_url:
        raise KeyServiceUrlError(
            "the URL holds a query or a fragment part", hint="End the URL before the ? or #."
        )
    if port == 0:
        raise KeyServiceUrlError("the URL's port is 0")
    return parts, port or _PORTS[parts.scheme]


def _check_host(host: str, *, bracketed: bool) -> IPv4Address | IPv6Address | None:
    """Return the address where the host is one, in its only spelling, and None where it is a name."""
    if not host:
        raise KeyServiceUrlError("the URL has no host")
    if not bracketed and not _NUMERIC.fullmatch(host):
        if len(host) > _NAME_MAX or not _NAME.fullmatch(host):
            raise KeyServiceUrlError("the URL's host is not a host name")
        return None
    ip = _parse_ip(host)
    if ip is None:
        raise KeyServiceUrlError(
            "the URL's host is a number, but not an IP address in its usual form",
            hint="Write the address as four decimal numbers, or as IPv6 in brackets without a zone.",
        )
    if ip.is_link_local:
        raise KeyServiceUrlError(
            "the URL's host is a link-local address, which belongs to whoever is on the same wire",
            hint="Use the key service's host name.",
        )
    return ip


def _parse_ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(host)
    except ValueError:
        return None
    if isinstance(ip, IPv4Address):
        return ip
    return None if ip.scope_id else ip.ipv4_mapped or ip


def _is_loopback(host: str, ip: IPv4Address | IPv6Address | None) -> bool:
    return ip.is_loopback if ip is not None else host.lower() == "localhost"
