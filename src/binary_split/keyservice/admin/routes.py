"""The administration over HTTP: one route for each act."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Request, Security
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from binary_split.errors import ConfigError, RecordConflictError, RecordError, RecordMissingError
from binary_split.keyservice.admin.acts import PREFIX, Act
from binary_split.keyservice.admin.authority import OutOfScopeError, verify_bearer
from binary_split.keyservice.admin.description import describe_answers, describe_members
from binary_split.keyservice.admin.desk import PERFORMED, LocalDesk, parse_wish
from binary_split.keyservice.admin.wishes import Performed
from binary_split.keyservice.answers import StoreOf, client_of
from binary_split.keyservice.problems import OUT_OF_SCOPE
from binary_split.service.bearer import BearerToken
from binary_split.service.bodies import read_body
from binary_split.service.problems import MALFORMED_BODY, NO_STORE, Problem, ProblemError

_BODY_BYTES = 128 * 1024
_MALFORMED_QUERY = Problem(HTTPStatus.BAD_REQUEST, "A parameter is there twice.")
_STATUS: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (RecordMissingError, HTTPStatus.NOT_FOUND),
    (RecordConflictError, HTTPStatus.CONFLICT),
    (RecordError, HTTPStatus.BAD_REQUEST),
    (ConfigError, HTTPStatus.BAD_REQUEST),
)


def admin_router() -> APIRouter:
    """Return the routes below ``/v1/admin``."""
    router = APIRouter(prefix=PREFIX, redirect_slashes=False, tags=["administration"])
    for performed in PERFORMED:
        act = performed.act
        router.add_api_route(
            act.path,
            _endpoint(performed),
            methods=[act.method],
            response_class=Response,
            responses=describe_answers(performed),
            openapi_extra=describe_members(performed),
            summary=act.summary,
            operation_id=act.name,
        )
    return router


def _endpoint(performed: Performed[Any]) -> Callable[..., Awaitable[Response]]:
    async def endpoint(
        request: Request, store: StoreOf, token: Annotated[str, Security(BearerToken())]
    ) -> Response:
        try:
            bearer = await run_in_threadpool(
                verify_bearer, store, token, performed.act, source=client_of(request)
            )
        except OutOfScopeError:
            raise ProblemError(OUT_OF_SCOPE) from None
        members = await _read_members(request, performed.act)
        desk = LocalDesk(store, by=bearer.token_id)
        try:
            document = await run_in_threadpool(desk.run, performed, parse_wish(performed, members))
        except (RecordError, ConfigError) as error:
            raise ProblemError(Problem(status_of(error), str(error))) from None
        return JSONResponse(document, headers=NO_STORE)

    return endpoint


def status_of(error: Exception) -> HTTPStatus:
    """Return the status that tells of a wish that cannot be met."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


async def _read_members(request: Request, act: Act) -> dict[str, Any]:
    """Return the members of a wish, from the path and from the query or the body.

    Raises:
        ProblemError: the body is no JSON object, or too long; a member is there twice.
    """
    path = dict(request.path_params)
    if act.method == "GET":
        pairs = request.query_params.multi_items()
        sent: dict[str, Any] = dict(pairs)
        if len(sent) != len(pairs) or path.keys() & sent.keys():
            raise ProblemError(_MALFORMED_QUERY)
    else:
        sent = await _read_body(request)
        if request.query_params or path.keys() & sent.keys():
            raise ProblemError(MALFORMED_BODY)
    return sent | path


async def _read_body(request: Request) -> dict[str, Any]:
    body = await read_body(request, max_bytes=_BODY_BYTES)
    if not body:
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ProblemError(MALFORMED_BODY) from None
    if not isinstance(document, dict):
        raise ProblemError(MALFORMED_BODY)
    return document
