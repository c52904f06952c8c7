"""Reading no faster than a line may be used."""

from __future__ import annotations

import threading
import time


class ReadingPace:
    """Holds back whoever reads, all threads together.

    Args:
        bytes_per_s: None: nobody is held back.
    """

    def __init__(self, bytes_per_s: int | None) -> None:
        self._bytes_per_s = bytes_per_s
        self._lock = threading.Lock()
        self._due = time.monotonic()

    def wait(self, count: int, ended: threading.Event) -> None:
        """Wait until ``count`` bytes more may have been read, or until ``ended`` is set."""
        if not self._bytes_per_s:
            return
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now) + count / self._bytes_per_s
            pause_s = self._due - now
        ended.wait(pause_s)
