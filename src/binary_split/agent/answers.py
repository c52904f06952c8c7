"""What the routes have in common: the unlocker they speak to, and the answers that say no."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.responses import JSONResponse, Response

from binary_split.agent.documents import PROBLEM, describe_status
from binary_split.agent.status import Status
from binary_split.agent.unlocker import Unlocker
from binary_split.errors import ArchiveNotConfiguredError, BinarySplitError, UnlockBusyError
from binary_split.service.pace import Pace
from binary_split.service.problems import (
    FAILED,
    MEDIA_TYPE,
    NO_STORE,
    RETRY_AFTER_S,
    Problem,
    ProblemError,
    schema_of,
    too_many,
)

_EVERYBODY = ""
_SOON = {"Retry-After": str(RETRY_AFTER_S)}
_STATUSES: dict[type[BinarySplitError], HTTPStatus] = {
    ArchiveNotConfiguredError: HTTPStatus.NOT_FOUND,
    UnlockBusyError: HTTPStatus.CONFLICT,
}
_SCHEMA = schema_of(*(PROBLEM + kind.code for kind in _STATUSES))

NOT_READY = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The images of the release are not verified.", _SOON)
TOO_MANY_READERS = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many readers of events.", _SOON)


async def _unlocker(request: Request) -> Unlocker:
    unlocker: Unlocker = request.app.state.unlocker
    return unlocker


UnlockerOf = Annotated[Unlocker, Depends(_unlocker)]
"""A route's parameter: the application's unlocker."""


def verify_pace(request: Request) -> None:
    """Count a wish, of whomever: there is one engine.

    Raises:
        ProblemError: there are too many (429).
    """
    pace: Pace = request.app.state.pace
    wait_s = pace.take(_EVERYBODY)
    if wait_s:
        raise ProblemError(too_many(math.ceil(wait_s)))


def answer_status(status: Status, code: HTTPStatus = HTTPStatus.OK) -> Response:
    """Answer with a picture."""
    return JSONResponse(describe_status(status), status_code=code, headers=NO_STORE)


def answer_error(request: Request, error: Exception) -> Response:
    """Answer one of our own errors with its problem; what has none is a 500 without details."""
    if not isinstance(error, BinarySplitError):
        return FAILED.response()
    request.scope.setdefault("state", {})["problem"] = error.code  # for the log
    status = _STATUSES.get(type(error))
    if status is None:
        return FAILED.response()
    return Problem(status, str(error), kind=PROBLEM + error.code).response()


def problem(description: str, *headers: str) -> dict[str, Any]:
    """Describe a problem document as an answer, and the headers that come with it."""
    answer: dict[str, Any] = {"description": description, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
    if headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return answer


CALLERS_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: problem("The Authorization header is malformed or there twice.", "WWW-Authenticate"),
    401: problem("No token, or another one than the agent's.", "WWW-Authenticate"),
    403: problem("Another site's page sent it, or a cookie came with it from no page of the agent's own."),
    415: problem("The body is not JSON."),
    421: problem("The agent is not called by this name."),
    429: problem("Asked too often.", "Retry-After"),
}
"""What any route that is not open to everybody may answer."""
