"""The bearer token of a request: from the Authorization header and from nowhere else (RFC 6750, 2.1)."""

from __future__ import annotations

import re

from fastapi.security import HTTPBearer
from starlette.requests import Request

from binary_split.service.problems import MALFORMED_TOKEN, NO_TOKEN, ProblemError

_CREDENTIALS = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)
_SCHEME = re.compile(r"bearer(?![!#$%&'*+.^_`|~0-9A-Za-z-])", re.IGNORECASE)


class BearerToken(HTTPBearer):
    """The security scheme for OpenAPI, with a stricter reading than the library's."""

    def __init__(self) -> None:
        super().__init__(
            scheme_name="bearerToken",
            description="A token from `binary-split token issue`.",
            auto_error=False,
        )

    async def __call__(self, request: Request) -> str:  # type: ignore[override]  # a str is all that is needed
        """Return the request's token, as `read_bearer` does."""
        return read_bearer(request)


def read_bearer(request: Request) -> str:
    """Return the request's token.

    Raises:
        ProblemError: there is none (401), or the header is malformed or there twice (400).
    """
    values = request.headers.getlist("authorization")
    if len(values) > 1:
        raise ProblemError(MALFORMED_TOKEN)
    # Another scheme is "no credentials" to us: the client does not know what we want.
    if not values or not _SCHEME.match(values[0]):
        raise ProblemError(NO_TOKEN)
    match = _CREDENTIALS.fullmatch(values[0])
    if match is None:
        raise ProblemError(MALFORMED_TOKEN)
    return match[1]
