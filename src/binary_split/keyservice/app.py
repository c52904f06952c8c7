"""The HTTP API of the key service."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Security
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from binary_split.errors import BinarySplitError, KeyStoreError
from binary_split.keyservice.bearer import BearerToken
from binary_split.keyservice.docs_page import add_docs_page
from binary_split.keyservice.outermost import Outermost
from binary_split.keyservice.problems import (
    MEDIA_TYPE,
    NO_STORE,
    SCHEMA,
    UNAVAILABLE,
    ProblemError,
    answer_error,
    answer_http,
    answer_problem,
)
from binary_split.keyservice.releases import ReleaseRequest
from binary_split.keyservice.store import Store
from binary_split.version import __version__

_OCTETS = "application/octet-stream"


async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


_StoreOf = Annotated[Store, Depends(_store)]
_router = APIRouter(redirect_slashes=False)


def _problem(description: str, *headers: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": description, "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
    if headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return answer


_FRAGMENT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The fragment, byte-exact. Never stored by a cache.",
        "content": {_OCTETS: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {"Cache-Control": {"schema": {"type": "string", "const": "no-store"}}},
    },
    400: _problem("The Authorization header is malformed or there twice.", "WWW-Authenticate"),
    401: _problem("No token, or one that is unknown or has expired.", "WWW-Authenticate"),
    403: _problem("The token was revoked.", "WWW-Authenticate"),
    404: _problem("The token does not open this key-id; whether there is one makes no difference."),
    500: _problem("The service failed; its log says where."),
    503: _problem("The store is locked or its disk is full: try again.", "Retry-After"),
    "default": _problem("Any other problem."),  # and so no 422, which is never answered
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
    store: _StoreOf,
    token: Annotated[str, Security(BearerToken())],
    key_id: Annotated[
        str | None, Query(description="The fragment that is meant; without it the token's own.")
    ] = None,
) -> Response:
    source = request.client.host if request.client else "-"
    asked = ReleaseRequest(token=token, key_id=key_id, source=source)
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
    responses={503: _problem("The database or the key-encryption key cannot be used.", "Retry-After")},
)
def _readyz(store: _StoreOf) -> dict[str, str]:
    try:
        store.verify_ready()
    except KeyStoreError:
        raise ProblemError(UNAVAILABLE) from None
    return {"status": "ready"}


@_router.get("/openapi.json", include_in_schema=False)
async def _openapi(request: Request) -> JSONResponse:
    return JSONResponse(request.app.openapi(), headers=NO_STORE)


def create_app(store: Store) -> FastAPI:
    """Return the ASGI application that answers from ``store``."""
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
    add_docs_page(app)
    app.add_exception_handler(ProblemError, answer_problem)
    app.add_exception_handler(BinarySplitError, answer_error)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_middleware(Outermost)
    return app
