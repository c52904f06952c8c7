"""Where the latest picture of the unlock hangs, for any number of readers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from binary_split.agent.status import Status
from binary_split.unlock.states import State


class Board:
    """The latest picture; reading it waits for nobody.

    Args:
        next_number: gives each picture a number greater than all before.
    """

    def __init__(self, next_number: Callable[[], int]) -> None:
        self._next_number = next_number
        self._changed = threading.Condition()
        self._latest = Status(next_number(), State.IDLE, time.time())

    @property
    def latest(self) -> Status:
        """The latest picture."""
        return self._latest

    def publish(self, **changes: Any) -> Status:
        """Hang up a picture that differs from the latest; the same one again is not told twice."""
        with self._changed:
            if replace(self._latest, **changes) != self._latest:
                self._latest = replace(
                    self._latest, number=self._next_number(), changed_at=time.time(), **changes
                )
                self._changed.notify_all()
            return self._latest

    def wait_until(self, is_so: Callable[[Status], bool], timeout_s: float) -> Status:
        """Wait for a picture, and return the latest, whether it came in time or not."""
        with self._changed:
            self._changed.wait_for(lambda: is_so(self._latest), timeout_s)
            return self._latest
