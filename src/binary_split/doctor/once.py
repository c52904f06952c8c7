"""A value that several checks need and one finds out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from binary_split.doctor.finding import SkippedError
from binary_split.errors import BinarySplitError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[_T]):
    value: _T | None = None
    error: BinarySplitError | SkippedError | None = None


class Once(Generic[_T]):
    """A value that is made when it is first asked for, or the error that came instead.

    Args:
        make: makes it.
        until: how long somebody else, who makes it already, is waited for; monotonic seconds.
    """

    def __init__(self, make: Callable[[], _T], until: float) -> None:
        self._make = make
        self._until = until
        self._lock = threading.Lock()
        self._outcome: _Outcome[_T] | None = None

    def __call__(self) -> _T:
        """Return the value.

        Raises:
            SkippedError: another check still waits for it.
            BinarySplitError: it cannot be had.
        """
        if not self._lock.acquire(timeout=max(0.0, self._until - time.monotonic())):
            raise SkippedError("what it needs to know has not been answered yet")
        try:
            outcome = self._outcome = self._outcome or self._find_out()
        finally:
            self._lock.release()
        if outcome.error is not None:
            raise outcome.error.with_traceback(None)
        return outcome.value  # type: ignore[return-value] # there is no error, so there is a value

    def _find_out(self) -> _Outcome[_T]:
        try:
            return _Outcome(self._make())
        except (BinarySplitError, SkippedError) as error:
            return _Outcome(error=error)
