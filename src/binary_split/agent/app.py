"""The HTTP API of the agent."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from binary_split.agent import events, probes, routes
from binary_split.agent.access import Access
from binary_split.agent.answers import answer_error
from binary_split.agent.events import Streams
from binary_split.agent.figures import AgentMetrics
from binary_split.agent.origins import OwnOrigin
from binary_split.agent.page.routes import add_page
from binary_split.agent.page.subject import Subject
from binary_split.agent.unlocker import Unlocker
from binary_split.config import LIMITS
from binary_split.errors import BinarySplitError
from binary_split.service.bounds import Bounds
from binary_split.service.docs_page import add_docs_page
from binary_split.service.outermost import PROBES, Outermost
from binary_split.service.pace import Pace
from binary_split.service.problems import ProblemError, answer_http, answer_invalid, answer_problem
from binary_split.service.throttle import FailureThrottle
from binary_split.version import __version__

_QUIET = (*PROBES, "/unlock/status")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLimits:
    """The bounds of the service; a rate of 0 sets none.

    Attributes:
        wish_rate: requests a minute to unlock or to cancel, of all callers together.
        failure_rate: failed authentications a minute that one address is told of; then it is told to wait.
        body_bytes: the longest body of a request.
        head_s: the longest that a request's head may take, in seconds.
        answer_s: the longest that a request may take until its answer begins, in seconds.
        threads: how many requests are worked on at once, of those that need a thread.
    """

    wish_rate: int = LIMITS.agent_wishes_per_minute
    failure_rate: int = 60
    body_bytes: int = LIMITS.agent_body_bytes
    head_s: float = 10.0
    answer_s: float = 30.0
    threads: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the application works with.

    Attributes:
        unlocker: does the unlocks; the caller closes it.
        access: decides who may.
        metrics: counts.
        limits: bound it.
        names: by which the agent is reached, beside the loopback ones and the address that it listens on.
        page: what its page is about; None leaves the page out.
        is_ending: whether the server stops: streams end then.
    """

    unlocker: Unlocker
    access: Access
    metrics: AgentMetrics
    limits: AgentLimits = field(default_factory=AgentLimits)
    names: Collection[str] = ()
    page: Subject | None = None
    is_ending: Callable[[], bool] = lambda: False


def create_app(around: Surroundings) -> FastAPI:
    """Return the ASGI application."""
    app, limits = _bare_app(), around.limits
    app.state.unlocker = around.unlocker
    app.state.access = around.access
    app.state.streams = Streams(around.is_ending)
    app.state.pace = Pace(limits.wish_rate)
    around.metrics.watch(around.unlocker, app.state.streams)
    app.add_exception_handler(ProblemError, answer_problem)
    app.add_exception_handler(BinarySplitError, answer_error)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    if around.page is not None:
        add_page(app, around.page)
    # what is added last stands outermost
    app.add_middleware(Bounds, body_bytes=limits.body_bytes, answer_s=limits.answer_s)
    app.add_middleware(OwnOrigin, names=around.names)
    app.add_middleware(FailureThrottle, pace=Pace(limits.failure_rate))
    app.add_middleware(Outermost, metrics=around.metrics, quiet=_QUIET)
    return app


def describe_api() -> dict[str, Any]:
    """Return the OpenAPI description."""
    return _bare_app().openapi()


def _bare_app() -> FastAPI:
    app = FastAPI(
        title="binary-split agent",
        summary="Unlocks sealed releases on this device.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirect would carry the token to another path
    )
    app.include_router(routes.router)
    app.include_router(events.router)
    app.include_router(probes.router)
    add_docs_page(app)
    return app
