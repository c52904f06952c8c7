"""The doctor on the page: what it found last, and looking again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from binary_split.doctor import Finding

Examine = Callable[[], Sequence[Finding]]
"""Makes every check."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found, and when (seconds since the epoch, UTC)."""

    findings: tuple[Finding, ...]
    at: float

    @property
    def when(self) -> str:
        """The time for people, in UTC."""
        return datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d %H:%M")


class CheckUp:
    """One examination at a time; whoever asks meanwhile gets the same findings.

    Args:
        examine: makes every check.
    """

    def __init__(self, examine: Examine) -> None:
        self._examine = examine
        self._turn = threading.Lock()
        self._last: Examined | None = None

    @property
    def last(self) -> Examined | None:
        """What was found last; None before the first time."""
        return self._last

    def look(self) -> Examined:
        """Make every check, or wait for those under way."""
        before = self._last
        with self._turn:
            if self._last is None or self._last is before:
                self._last = Examined(tuple(self._examine()), time.time())
            return self._last
