"""Failed authentications and refusals, counted per source and minute: an attacker must not fill the disk.

What is counted is written as one audit record for each source when its minute is over.
"""

from __future__ import annotations

import threading
from collections import Counter

from binary_split.keyservice.chain import AuditEvent
from binary_split.keyservice.clock import Clock, to_seconds
from binary_split.keyservice.ledger import Ledger

MOST_SOURCES = 100
OTHERS = "others"
_MINUTE_S = 60
_REASON_CHARACTERS = 40
_SOURCE_CHARACTERS = 64


class FailureTally:
    """Counts, and writes what is complete."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[int, dict[str, Counter[str]]] = {}

    def note(self, *, source: str, reason: str) -> None:
        """Count one failure.

        Args:
            source: an address, or the public id of a token or a device; never a secret. After the first
                100 of a minute the rest are counted together.
            reason: a word of ours, such as ``unknown-token``.
        """
        minute = to_seconds(self._clock()) // _MINUTE_S
        with self._lock:
            sources = self._counts.setdefault(minute, {})
            name = source[:_SOURCE_CHARACTERS]
            if name not in sources and len(sources) >= MOST_SOURCES:
                name = OTHERS
            sources.setdefault(name, Counter())[reason[:_REASON_CHARACTERS]] += 1

    def write(self, *, all_minutes: bool = False) -> None:
        """Write the minutes that are over, or all of them; what cannot be written is kept for the next call.

        Raises:
            KeyStoreError: they cannot be written.
        """
        now = to_seconds(self._clock()) // _MINUTE_S
        with self._lock:
            minutes = sorted(minute for minute in self._counts if all_minutes or minute < now)
            taken = {minute: self._counts.pop(minute) for minute in minutes}
        if not taken:
            return
        try:
            with self._ledger.writing() as turn:
                for minute, sources in taken.items():
                    for source, reasons in sources.items():
                        turn.record(_event(minute, source, reasons))
        except BaseException:
            self._put_back(taken)
            raise

    def _put_back(self, taken: dict[int, dict[str, Counter[str]]]) -> None:
        """Count what could not be written with the oldest minute, so that an outage takes no more memory."""
        with self._lock:
            sources = self._counts.setdefault(min(taken), {})
            for before in taken.values():
                for source, reasons in before.items():
                    name = source if source in sources or len(sources) < MOST_SOURCES else OTHERS
                    sources.setdefault(name, Counter()).update(reasons)


def _event(minute: int, source: str, reasons: Counter[str]) -> AuditEvent:
    detail = {"source": source, "from": minute * _MINUTE_S, "reasons": dict(sorted(reasons.items()))}
    return AuditEvent(kind="failures", actor="service", detail=detail)
