"""The two routes that devices ask all day, without FastAPI's machinery: a third of their processor time.

They call the same endpoints as the routes of the OpenAPI description, which stay behind them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from binary_split.keyservice import device_routes, fragment_route
from binary_split.service.bearer import BearerToken

_bearer = BearerToken()


class HotRoute(Route):
    """A route for exactly one method, which tells the figures its path."""

    def __init__(self, method: str, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.methods = {method}  # a HEAD would release a fragment to nobody

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as every route does, and name itself."""
        match, child_scope = super().matches(scope)
        return match, {**child_scope, "route": self}


async def _plain(request: Request) -> Response:
    return await fragment_route.key_fragment(
        request, request.app.state.store, await _bearer(request), request.query_params.get("key_id")
    )


async def _sealed(request: Request) -> Response:
    return await device_routes.release_sealed(
        request, request.app.state.store, await _bearer(request), request.path_params["key_id"]
    )


def add_hot_routes(app: FastAPI) -> None:
    """Put them before all others."""
    app.router.routes[:0] = [
        HotRoute("GET", "/binary-split/key-fragment", _plain),
        HotRoute("POST", "/v1/keys/{key_id}/release", _sealed),
    ]
