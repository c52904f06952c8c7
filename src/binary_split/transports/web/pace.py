"""Reading no faster than a line may be used."""

from __future__ import annotations

import threading
import time

_STEP_BYTES = 64 * 1024


class ReadingPace:
    """Holds back whoever reads, all threads together.

    Args:
        bytes_per_s: None: nobody is held back.

    Attributes:
        step_bytes: to be read at most before it is asked to wait: nobody waits for long.
    """

    def __init__(self, bytes_per_s: int | None) -> None:
        self._bytes_per_s = bytes_per_s
        self._lock = threading.Lock()
        self._due = time.monotonic()
        self.step_bytes = min(_STEP_BYTES, max(1, bytes_per_s // 8)) if bytes_per_s else _STEP_BYTES

    def wait(self, count: int, ended: threading.Event) -> None:
        """Wait until ``count`` bytes more may have been read, or until ``ended`` is set."""
        if not self._bytes_per_s:
            return
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now) + count / self._bytes_per_s
            pause_s = self._due - now
        ended.wait(pause_s)
