"""What Prometheus is told, on an address of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.process_collector import ProcessCollector

from binary_split.errors import ConfigError
from binary_split.version import __version__

_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
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


class ServiceMetrics:
    """The figures of one process, in a registry of their own."""

    def __init__(self, waiting: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self._counter(
            "requests", "Requests by route and status.", "route", "method", "status"
        )
        self._releases = self._counter(
            "releases", "Requests for a fragment by way and outcome.", "way", "outcome"
        )
        self._errors = self._counter("database_errors", "Requests that the database failed.", "problem")
        self._seconds = Histogram(
            "binary_split_request_seconds",
            "Time until the answer begins.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "binary_split_requests_in_flight", "Requests without an answer.", registry=self.registry
        )
        queue = Gauge(
            "binary_split_audit_queue", "Releases that wait for their record.", registry=self.registry
        )
        queue.set_function(waiting)
        build = Gauge("binary_split_build", "1, with the version.", ("version",), registry=self.registry)
        build.labels(__version__).set(1)

    def observe(self, *, route: str, method: str, status: int, seconds: float, problem: str) -> None:
        """Count one answer."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if route in _RELEASES:
            self._releases.labels(_RELEASES[route], _OUTCOMES.get(status, "failed")).inc()
        if problem in _DATABASE_PROBLEMS:
            self._errors.labels(problem).inc()

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"binary_split_{name}", documentation, labels, registry=self.registry)


@contextmanager
def metrics_listener(metrics: ServiceMetrics, address: tuple[str, int] | None) -> Iterator[None]:
    """Answer ``/metrics`` on an address, if one is given, in a thread of its own until the block ends.

    Raises:
        ConfigError: the address cannot be had.
    """
    if address is None:
        yield
        return
    host, port = address
    try:
        server, thread = start_http_server(port, addr=host, registry=metrics.registry)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def parse_address(text: str) -> tuple[str, int]:
    """Parse ``HOST:PORT``; an IPv6 address stands in brackets.

    Raises:
        ConfigError: it has another form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"not an address: {text[:50]!r}", hint="Write HOST:PORT, such as 127.0.0.1:9464.")
    return host.strip("[]"), int(port)
