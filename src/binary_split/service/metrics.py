"""What Prometheus is told, on an address of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.process_collector import ProcessCollector

from binary_split.errors import ConfigError
from binary_split.service.listener import LISTEN_ERRORS, cannot_listen
from binary_split.version import __version__

_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class RequestMetrics:
    """The figures of one process about requests, in a registry of their own, for others too."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self.counter(
            "requests", "Requests by route and status.", "route", "method", "status"
        )
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
        build = Gauge("binary_split_build", "1, with the version.", ("version",), registry=self.registry)
        build.labels(__version__).set(1)

    def counter(self, name: str, documentation: str, *labels: str) -> Counter:
        """Add a counter, whose name begins as all of ours do."""
        return Counter(f"binary_split_{name}", documentation, labels, registry=self.registry)

    def observe(self, *, route: str, method: str, status: int, seconds: float, problem: str) -> None:  # noqa: ARG002 - for those that count problems
        """Count one answer.

        Args:
            route: the path of the route, as it was declared.
            method: of the request.
            status: of the answer.
            seconds: until it began.
            problem: the code of our error that it was made of; empty where there was none.
        """
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)


@contextmanager
def metrics_listener(metrics: RequestMetrics, address: tuple[str, int] | None) -> Iterator[None]:
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
    except LISTEN_ERRORS as error:
        raise cannot_listen(host, port, error) from error
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
