"""What stands between the socket and the routes, from the outermost in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from starlette.applications import Starlette

from binary_split.keyservice.metrics import ServiceMetrics
from binary_split.keyservice.release_pace import ReleasePace
from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.keyservice.store import Store
from binary_split.service.bounds import Bounds
from binary_split.service.outermost import Outermost
from binary_split.service.pace import Pace
from binary_split.service.throttle import FailureThrottle


@dataclass(frozen=True, slots=True)
class Guards:
    """The limits of one process and its figures."""

    limits: ServiceLimits
    metrics: ServiceMetrics

    @classmethod
    def of(cls, store: Store, limits: ServiceLimits | None = None) -> Self:
        """Return those of a store, whose releases are bounded from now on."""
        limits = limits or ServiceLimits()
        per_token, per_device = Pace(limits.token_rate), Pace(limits.device_rate)
        store.limit_releases(ReleasePace(per_token=per_token, per_device=per_device))
        return cls(limits, ServiceMetrics(lambda: store.waiting))


def add_guards(app: Starlette, guards: Guards) -> None:
    """Put an application between its guards; what is added last stands outermost."""
    limits = guards.limits
    app.add_middleware(Bounds, body_bytes=limits.body_bytes, answer_s=limits.answer_s)
    app.add_middleware(FailureThrottle, pace=Pace(limits.failure_rate))
    app.add_middleware(Outermost, metrics=guards.metrics)
