"""What Prometheus is told of the key service."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Gauge

from binary_split.service.metrics import RequestMetrics

_RELEASES = {"/binary-split/key-fragment": "plain", "/v1/keys/{key_id}/release": "sealed"}
_OUTCOMES = {
    200: "released",
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    429: "limited",
    503: "unavailable",
}
_DATABASE_PROBLEMS = ("key-store-state", "key-store-damaged")


class ServiceMetrics(RequestMetrics):
    """The figures of one process of the key service."""

    def __init__(self, waiting: Callable[[], float]) -> None:
        super().__init__()
        self._releases = self.counter(
            "releases", "Requests for a fragment by way and outcome.", "way", "outcome"
        )
        self._errors = self.counter("database_errors", "Requests that the database failed.", "problem")
        queue = Gauge(
            "binary_split_audit_queue", "Releases that wait for their record.", registry=self.registry
        )
        queue.set_function(waiting)

    def observe(self, *, route: str, method: str, status: int, seconds: float, problem: str) -> None:
        """Count one answer."""
        super().observe(route=route, method=method, status=status, seconds=seconds, problem=problem)
        if route in _RELEASES:
            self._releases.labels(_RELEASES[route], _OUTCOMES.get(status, "failed")).inc()
        if problem in _DATABASE_PROBLEMS:
            self._errors.labels(problem).inc()
