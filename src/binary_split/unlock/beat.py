"""A sign of life at least once a second, whatever is waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from binary_split.config import LIMITS, Limits
from binary_split.model import Progress, ProgressSink


@contextmanager
def beating(
    report: ProgressSink,
    progress: Callable[[], Progress],
    waited_for: Callable[[], str],
    *,
    limits: Limits = LIMITS,
) -> Iterator[None]:
    """Report progress from a thread of its own while the block runs, and once more at its end.

    Args:
        report: is told.
        progress: says how far it is.
        waited_for: says who is to move next, once nothing has moved for ``limits.stall_s``.
        limits: bounds on the waiting.
    """
    ended = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(ended, report, progress, waited_for, limits), name="progress", daemon=True
    )
    try:
        thread.start()
        yield
    finally:
        ended.set()
        if thread.is_alive():  # not if the start was interrupted
            thread.join()
    report(progress())


def _beat(
    ended: threading.Event,
    report: ProgressSink,
    progress: Callable[[], Progress],
    waited_for: Callable[[], str],
    limits: Limits,
) -> None:
    moved_at, last = time.monotonic(), progress()
    while not ended.wait(limits.beat_s / 2):
        current, now = progress(), time.monotonic()
        if current.done != last.done:
            moved_at, last = now, current
        if now - moved_at >= limits.stall_s:
            current = replace(current, waiting_for=waited_for())
        report(current)
