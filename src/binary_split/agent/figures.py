"""What Prometheus is told of the agent, on an address of its own (docs/agent.md says why)."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Gauge

from binary_split.agent.events import Streams
from binary_split.agent.unlocker import Unlocker
from binary_split.service.metrics import RequestMetrics
from binary_split.unlock.states import State


class AgentMetrics(RequestMetrics):
    """The figures of one process."""

    def __init__(self) -> None:
        super().__init__()
        self._unlocks = self.counter("unlocks", "Unlocks that ended, by outcome.", "outcome")

    def count_unlock(self, outcome: str) -> None:
        """Count one that ended: ``ready``, ``failed`` or ``cancelled``."""
        self._unlocks.labels(outcome).inc()

    def watch(self, unlocker: Unlocker, streams: Streams) -> None:
        """Tell, from now on, how the unlock is and who follows it."""
        self._gauge(
            "ready", "1 while the images are verified.", lambda: unlocker.status().state is State.READY
        )
        self._gauge("unlock_running", "1 while an unlock is under way.", lambda: unlocker.status().is_running)
        self._gauge("unlock_done_bytes", "Of the step under way.", lambda: unlocker.status().done_bytes)
        self._gauge("event_streams", "Readers of events.", lambda: streams.open)

    def _gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        Gauge(f"binary_split_{name}", documentation, registry=self.registry).set_function(read)
