"""The HTTP API of the key service."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from binary_split.errors import BinarySplitError, KeyStoreError
from binary_split.keyservice import device_routes, fragment_route
from binary_split.keyservice.admin.routes import admin_router
from binary_split.keyservice.answers import PROBLEM_SCHEMA, StoreOf, problem
from binary_split.keyservice.console.routes import add_console
from binary_split.keyservice.guards import Guards, add_guards
from binary_split.keyservice.hot_routes import add_hot_routes
from binary_split.keyservice.problems import SCHEMA, UNAVAILABLE, answer_error
from binary_split.keyservice.store import Store
from binary_split.service.docs_page import add_docs_page
from binary_split.service.problems import NO_STORE, ProblemError, answer_http, answer_invalid, answer_problem
from binary_split.version import __version__

_router = APIRouter(redirect_slashes=False)


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


class _Api(FastAPI):
    """Describes itself with the problem document once, and not at each answer of each operation."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["schemas"][PROBLEM_SCHEMA] = SCHEMA
        return document


def create_app(store: Store, guards: Guards | None = None) -> FastAPI:
    """Return the ASGI application that answers from ``store``, between ``guards`` or the usual ones."""
    app = _bare_app()
    app.state.store = store
    add_hot_routes(app)
    app.add_exception_handler(ProblemError, answer_problem)
    app.add_exception_handler(BinarySplitError, answer_error)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    add_guards(app, guards or Guards.of(store))
    return app


def describe_api() -> dict[str, Any]:
    """Return the OpenAPI description."""
    return _bare_app().openapi()


def _bare_app() -> FastAPI:
    app = _Api(
        title="binary-split key service",
        summary="Releases the few secret bytes that open a sealed release.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirect would carry the token to another path
    )
    app.include_router(fragment_route.router)
    app.include_router(_router)
    app.include_router(device_routes.router)
    app.include_router(admin_router())
    add_docs_page(app)
    add_console(app)
    return app
