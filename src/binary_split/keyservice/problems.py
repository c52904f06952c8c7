"""The answers other than a fragment: RFC 9457 problems, with RFC 6750's challenge where it asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from binary_split.errors import (
    BinarySplitError,
    DeviceKeyNeededError,
    EnrolmentRefusedError,
    FragmentForbiddenError,
    FragmentNotFoundError,
    KeyEncryptionKeyError,
    KeyStoreDamagedError,
    KeyStoreStateError,
    RateLimitedError,
    TokenRejectedError,
)
from binary_split.model import DEVICE_KEY_NEEDED as DEVICE_KEY_NEEDED_TYPE

MEDIA_TYPE = "application/problem+json"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"}
RETRY_AFTER_S = 5
_REALM = 'Bearer realm="binary-split"'

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "enum": ["about:blank", DEVICE_KEY_NEEDED_TYPE]},
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


def _challenge(error: str, description: str) -> dict[str, str]:
    return {"WWW-Authenticate": f'{_REALM}, error="{error}", error_description="{description}"'}


# RFC 6750 section 3.1: whoever sent no token at all is told no error.
NO_TOKEN = Problem(HTTPStatus.UNAUTHORIZED, "A bearer token is needed.", {"WWW-Authenticate": _REALM})
MALFORMED_TOKEN = Problem(
    HTTPStatus.BAD_REQUEST,
    "The Authorization header is malformed.",
    _challenge("invalid_request", "The Authorization header is malformed"),
)
REJECTED_TOKEN = Problem(
    HTTPStatus.UNAUTHORIZED,
    "The token is unknown or has expired.",
    _challenge("invalid_token", "The token is unknown or has expired"),
)
REVOKED_TOKEN = Problem(  # 403, not 401: docs/adr/0010-revoked-token-403.md
    HTTPStatus.FORBIDDEN, "The token was revoked.", _challenge("invalid_token", "The token was revoked")
)
OUT_OF_SCOPE = Problem(  # before anything is looked at: it tells nothing of what there is
    HTTPStatus.FORBIDDEN,
    "The token is not for this.",
    _challenge("insufficient_scope", "The token is not for this"),
)
NO_SUCH_FRAGMENT = Problem(HTTPStatus.NOT_FOUND, "There is no such fragment for this token.")
DEVICE_KEY_NEEDED = (
    Problem(  # for whoever may have it sealed: docs/adr/0051-plain-release-to-an-enrolled-device.md
        HTTPStatus.FORBIDDEN,
        "This fragment is released sealed to the key of an enrolled device only.",
        kind=DEVICE_KEY_NEEDED_TYPE,
    )
)
REFUSED_CODE = Problem(HTTPStatus.FORBIDDEN, "The code is unknown, was used or has expired.")
LATE_BODY = Problem(HTTPStatus.REQUEST_TIMEOUT, "The body did not come.", {"Connection": "close"})
MALFORMED_BODY = Problem(HTTPStatus.BAD_REQUEST, "The body is not the JSON that this needs.")
UNAVAILABLE = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE, "The store cannot be used now.", {"Retry-After": str(RETRY_AFTER_S)}
)
FAILED = Problem(HTTPStatus.INTERNAL_SERVER_ERROR)
# What is still to come of the body is not waited for.
BODY_TOO_LONG = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too long.", {"Connection": "close"})
BODY_TOO_LATE = Problem(HTTPStatus.REQUEST_TIMEOUT, "The body took too long.", {"Connection": "close"})

_BY_ERROR: Mapping[type[BinarySplitError], Problem] = {
    TokenRejectedError: REJECTED_TOKEN,
    FragmentForbiddenError: REVOKED_TOKEN,
    FragmentNotFoundError: NO_SUCH_FRAGMENT,
    DeviceKeyNeededError: DEVICE_KEY_NEEDED,
    EnrolmentRefusedError: REFUSED_CODE,
    KeyStoreStateError: UNAVAILABLE,
    KeyStoreDamagedError: FAILED,
    KeyEncryptionKeyError: FAILED,
}


def too_many(retry_after_s: int) -> Problem:
    """Return the answer to whoever asks too often."""
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS, "Asked too often.", {"Retry-After": str(max(1, retry_after_s))}
    )


def answer_problem(_request: Request, error: Exception) -> Response:
    """Answer a ProblemError."""
    problem = error.problem if isinstance(error, ProblemError) else FAILED
    return problem.response()


def answer_error(request: Request, error: Exception) -> Response:
    """Answer one of our own errors with its problem; what has none is a 500 without details."""
    if not isinstance(error, BinarySplitError):
        return FAILED.response()
    request.scope.setdefault("state", {})["problem"] = error.code  # for the log and the figures
    if isinstance(error, RateLimitedError):
        return too_many(error.retry_after_s).response()
    return _BY_ERROR.get(type(error), FAILED).response()


def answer_invalid(_request: Request, _error: Exception) -> Response:
    """Answer a request that does not fit its description; what was wrong with it may be a secret."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not what this needs.").response()


def answer_http(_request: Request, error: Exception) -> Response:
    """Answer what the router refuses: no such path, no such method."""
    if not isinstance(error, HTTPException):
        return FAILED.response()
    return Problem(HTTPStatus(error.status_code), headers=error.headers or {}).response()
