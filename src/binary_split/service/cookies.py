"""Cookies that hold a secret: for this host alone, and for no script."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

_LONGEST_SECRET = 100


def read_cookie(request: Request, name: str) -> str:
    """Return a cookie's value; empty where there is none that we may have set."""
    value = request.cookies.get(_name(request, name), "")
    return value if len(value) <= _LONGEST_SECRET and value.isascii() else ""


def set_cookie(request: Request, response: Response, name: str, value: str, max_age_s: int) -> None:
    """Have the browser keep a value; an age of 0 makes it forget."""
    response.set_cookie(
        _name(request, name),
        value,
        max_age=max_age_s,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def _name(request: Request, name: str) -> str:
    # __Host-: the browser takes it over https alone, from this host alone. Plain http is on loopback only.
    return f"__Host-{name}" if request.url.scheme == "https" else name
