"""The HTTP API of the key service."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Security
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from binary_split.errors import BinarySplitError, KeyStoreError
from binary_split.keyservice import device_routes
from binary_split.keyservice.answers import StoreOf, client_of, document, problem
from binary_split.keyservice.bearer import BearerToken
from binary_split.keyservice.docs_page import add_docs_page
from binary_split.keyservice.guards import Guards, add_guards
from binary_split.keyservice.problems import (
    NO_STORE,
    UNAVAILABLE,
    ProblemError,
    answer_error,
    answer_http,
    answer_invalid,
    answer_problem,
)
from binary_split.keyservice.releases import ReleaseRequest
from binary_split.keyservice.store import Store
from binary_split.version import __version__

_OCTETS = "application/octet-stream"


_router = APIRouter(redirect_slashes=False)

_FRAGMENT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: document("The fragment, byte-exact.", _OCTETS, {"type": "string", "format": "binary"}),
    400: problem("The Authorization header is malformed or there twice.", "WWW-Authenticate"),
    401: problem("No token, or one that is unknown or has expired.", "WWW-Authenticate"),
    403: problem(
        "The token was revoked; or this fragment is released sealed only, as the problem's type says.",
        "WWW-Authenticate",
    ),
    404: problem("The token does not open this key-id; whether there is one makes no difference."),
    429: problem("Asked too often with this token, by this device, or in vain from there.", "Retry-After"),
    500: problem("The service failed; its log says where."),
    503: problem("The store is locked or its disk is full: try again.", "Retry-After"),
    "default": problem("Any other problem."),  # and so no 422, which is never answered
}


@_router.get(
    "/binary-split/key-fragment",
    response_class=Response,
    responses=_FRAGMENT_ANSWERS,
    summary="Fetch the fragment that the token opens",
    operation_id="fetchKeyFragment",
    tags=["fragments"],
)
async def _key_fragment(
    request: Request,
    store: StoreOf,
    token: Annotated[str, Security(BearerToken())],
    key_id: Annotated[
        str | None, Query(description="The fragment that is meant; without it the token's own.")
    ] = None,
) -> Response:
    asked = ReleaseRequest(token=token, key_id=key_id, source=client_of(request))
    released = await asyncio.wrap_future(store.submit_release(asked))
    return Response(released.fragment.reveal(), media_type=_OCTETS, headers=NO_STORE)


@_router.get("/healthz", summary="Is the process alive?", operation_id="isAlive", tags=["probes"])
async def _healthz() -> dict[str, str]:
    return {"status": "ok"}


@_router.get(
    "/readyz",
    summary="Can fragments be released?",
    operation_id="isReady",
    tags=["probes"],
    responses={503: problem("The database or the key-encryption key cannot be used.", "Retry-After")},
)
def _readyz(store: StoreOf) -> dict[str, str]:
    try:
        store.verify_ready()
    except KeyStoreError:
        raise ProblemError(UNAVAILABLE) from None
    return {"status": "ready"}


@_router.get("/openapi.json", include_in_schema=False)
async def _openapi(request: Request) -> JSONResponse:
    return JSONResponse(request.app.openapi(), headers=NO_STORE)


def create_app(store: Store, guards: Guards | None = None) -> FastAPI:
    """Return the ASGI application that answers from ``store``, between ``guards`` or the usual ones."""
    app = FastAPI(
        title="binary-split key service",
        summary="Releases the few secret bytes that open a sealed release.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirect would carry the token to another path
    )
    app.state.store = store
    app.include_router(_router)
    app.include_router(device_routes.router)
    add_docs_page(app)
    app.add_exception_handler(ProblemError, answer_problem)
    app.add_exception_handler(BinarySplitError, answer_error)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    add_guards(app, guards or Guards.of(store))
    return app
