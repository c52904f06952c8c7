"""Answers that say no: RFC 9457 problems, with RFC 6750's challenge where it asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"}
RETRY_AFTER_S = 5
_REALM = 'Bearer realm="binary-split"'


def schema_of(*kinds: str) -> dict[str, Any]:
    """Return the JSON schema of a problem document of these types, beside ``about:blank``."""
    return {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "enum": ["about:blank", *kinds]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
    }


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer: its status, what a person reads, its own headers, and its type (RFC 9457)."""

    status: HTTPStatus
    detail: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "about:blank"

    def response(self) -> Response:
        """Return it as an HTTP response that nothing may store."""
        document = {"type": self.kind, "title": self.status.phrase, "status": int(self.status)}
        if self.detail:
            document["detail"] = self.detail
        return JSONResponse(
            document, status_code=self.status, media_type=MEDIA_TYPE, headers={**NO_STORE, **self.headers}
        )


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def challenge(error: str, description: str) -> dict[str, str]:
    """Return the header that says what is wrong with a token."""
    return {"WWW-Authenticate": f'{_REALM}, error="{error}", error_description="{description}"'}


# RFC 6750 section 3.1: whoever sent no token at all is told no error.
NO_TOKEN = Problem(HTTPStatus.UNAUTHORIZED, "A bearer token is needed.", {"WWW-Authenticate": _REALM})
MALFORMED_TOKEN = Problem(
    HTTPStatus.BAD_REQUEST,
    "The Authorization header is malformed.",
    challenge("invalid_request", "The Authorization header is malformed"),
)
REJECTED_TOKEN = Problem(
    HTTPStatus.UNAUTHORIZED,
    "The token is unknown or has expired.",
    challenge("invalid_token", "The token is unknown or has expired"),
)
LATE_BODY = Problem(HTTPStatus.REQUEST_TIMEOUT, "The body did not come.", {"Connection": "close"})
MALFORMED_BODY = Problem(HTTPStatus.BAD_REQUEST, "The body is not the JSON that this needs.")
TOO_LATE = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE, "The answer took too long.", {"Retry-After": str(RETRY_AFTER_S)}
)
FAILED = Problem(HTTPStatus.INTERNAL_SERVER_ERROR)
# What is still to come of the body is not waited for.
BODY_TOO_LONG = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too long.", {"Connection": "close"})
BODY_TOO_LATE = Problem(HTTPStatus.REQUEST_TIMEOUT, "The body took too long.", {"Connection": "close"})


def too_many(retry_after_s: int) -> Problem:
    """Return the answer to whoever asks too often."""
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS, "Asked too often.", {"Retry-After": str(max(1, retry_after_s))}
    )


def answer_problem(_request: Request, error: Exception) -> Response:
    """Answer a ProblemError."""
    problem = error.problem if isinstance(error, ProblemError) else FAILED
    return problem.response()


def answer_invalid(_request: Request, _error: Exception) -> Response:
    """Answer a request that does not fit its description; what was wrong with it may be a secret."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not what this needs.").response()


def answer_http(_request: Request, error: Exception) -> Response:
    """Answer what the router refuses: no such path, no such method."""
    if not isinstance(error, HTTPException):
        return FAILED.response()
    return Problem(HTTPStatus(error.status_code), headers=error.headers or {}).response()
