"""A browser is on the technician's side only as long as the page is ours: Host, Origin, Sec-Fetch-Site.

Where a socket's permissions or a certificate let somebody in, any site that is open in the same browser could
send requests in their name, and a name that is rebound to this machine's address could read the answers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from binary_split.service.connection import connection_of
from binary_split.service.problems import Problem

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FOREIGN_HOST = Problem(HTTPStatus.MISDIRECTED_REQUEST, "The agent is not called by this name.")
FOREIGN_ORIGIN = Problem(HTTPStatus.FORBIDDEN, "Another site's page sent this.")

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_OWN_SITE = frozenset({"same-origin", "none"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")


class OwnOrigin:
    """ASGI middleware: requests under a name of the agent's own, that no other site's page sent.

    Args:
        app: what answers the others.
        names: by which the agent is reached, beside the loopback ones and the address that was connected to.
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str] = ()) -> None:
        self._app = app
        self._names = LOOPBACK_NAMES | {name.lower().strip("[]").rstrip(".") for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 421 or 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if not self._is_own_name(scope):
            await FOREIGN_HOST.response()(scope, receive, send)
        elif not _may_come(request):
            await FOREIGN_ORIGIN.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_own_name(self, scope: Scope) -> bool:
        hosts = Headers(scope=scope).getlist("host")
        parsed = parse_authority(hosts[0]) if len(hosts) == 1 else None
        if parsed is None:
            return False
        name, _port = parsed
        server = scope.get("server")
        is_address = not connection_of(scope).is_unix and server is not None and name == server[0].lower()
        return name in self._names or is_address


def is_safe(method: str) -> bool:
    """Tell whether requests of a method change nothing."""
    return method in _SAFE_METHODS


def is_own_origin(request: Request) -> bool:
    """Tell whether a browser says that a page of the agent's own sent a request."""
    origins = request.headers.getlist("origin")
    site = request.headers.get("sec-fetch-site")
    if not origins:
        return site == "same-origin"
    return origins == [_own_origin(request)] and site in {None, "same-origin"}


def parse_authority(text: str) -> tuple[str, int | None] | None:
    """Parse ``NAME``, ``NAME:PORT`` or the same with an IPv6 address in brackets; None for anything else."""
    name, port = text.lower(), ""
    if name.startswith("["):
        name, bracket, port = name[1:].partition("]")
        if not bracket or port[:1] not in {"", ":"} or not _is_ipv6(name):
            return None
        port = port.removeprefix(":") if port else ""
        name = str(ipaddress.IPv6Address(name))
    else:
        name, _colon, port = name.partition(":")
        if not name or not _NAME_CHARACTERS.issuperset(name):
            return None
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        return None
    return name.removesuffix("."), int(port) if port else None


def _may_come(request: Request) -> bool:
    """Tell whether a request is one that a program, a person or a page of ours sends."""
    site = request.headers.get("sec-fetch-site", "none")
    if is_safe(request.method):
        # Somebody who follows a link to the page is welcome; what another page embeds or fetches is not.
        return site in _OWN_SITE or request.headers.get("sec-fetch-dest") == "document"
    origins = request.headers.getlist("origin")
    return site in _OWN_SITE and (not origins or origins == [_own_origin(request)])


def _own_origin(request: Request) -> str:
    """Return the origin of the agent's page, as a browser that came by this request's name writes it."""
    scheme = request.scope["scheme"]
    parsed = parse_authority(request.headers.get("host", ""))
    if parsed is None:
        return ""
    name, port = parsed
    host = f"[{name}]" if ":" in name else name
    return f"{scheme}://{host}" + ("" if port in {None, _DEFAULT_PORTS.get(scheme)} else f":{port}")


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text.partition("%")[0])
    except ValueError:
        return False
    return "%" not in text
