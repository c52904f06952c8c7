"""Progress that can be believed: it never goes backwards, and what ends well ends at its total."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from binary_split.model import ItemProgress, Progress, ProgressSink

ERROR_STEP = "error"
"""The step that a failure enters: what was under way before it is not complete."""


class Rate(NamedTuple):
    """How fast a step goes, in bytes a second, and how long it still takes at that rate; None: not known."""

    bytes_per_s: float
    remaining_s: float | None


class StepRate:
    """Measures the mean rate of each step of one piece of work."""

    def __init__(self) -> None:
        self._step: str | None = None
        self._started = time.monotonic()

    def measure(self, progress: Progress) -> Rate:
        """Return the rate of the step that the progress is about; its time begins with its first progress."""
        now = time.monotonic()
        if progress.step != self._step:
            self._step, self._started = progress.step, now
        elapsed = now - self._started
        rate = progress.done / elapsed if elapsed > 0 else 0.0
        remaining = (progress.total - progress.done) / rate if progress.total and rate else None
        return Rate(rate, remaining)


@contextmanager
def steady_progress(sink: ProgressSink) -> Iterator[ProgressSink]:
    """Give a sink, for one piece of work and any number of threads, that passes on what can be believed.

    In each step ``done`` and ``done / total`` never shrink, ``done`` is never over ``total``, and an image
    that was named stays. A step ends at its total, when the next begins or the block is left without an
    error. What comes of a step that was left is late, and dropped.
    """
    steady = _SteadySink(sink)
    yield steady
    steady.complete()


class _SteadySink:
    def __init__(self, sink: ProgressSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()  # an older event of another thread must not overtake
        self._last: Progress | None = None
        self._left: set[str] = set()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            if progress.step in self._left:
                return
            last = self._last
            if last is not None and last.step != progress.step:
                self._left.add(last.step)
                if progress.step != ERROR_STEP:
                    self._complete(last)
                last = None
            self._last = _joined(last or Progress(progress.step), progress)
            self._sink(self._last)

    def complete(self) -> None:
        """Say that the last step is done."""
        with self._lock:
            if self._last is not None and self._last.step != ERROR_STEP:
                self._left.add(self._last.step)
                self._complete(self._last)

    def _complete(self, last: Progress) -> None:
        total = last.done if last.total is None and last.done else last.total
        items = tuple(replace(item, done=item.total) for item in last.items)
        whole = Progress(last.step, total or 0, total, items)
        if whole != last:
            self._sink(whole)


def _joined(last: Progress, new: Progress) -> Progress:
    """Return the new event of a step as it may be passed on after the last one."""
    done, total = _advance(last.done, last.total, new.done, new.total)
    items = last.items if new.items == last.items else _joined_items(last.items, new.items)
    return Progress(new.step, done, total, items, new.waiting_for)


def _joined_items(last: tuple[ItemProgress, ...], new: tuple[ItemProgress, ...]) -> tuple[ItemProgress, ...]:
    rows = {item.name: item for item in last}
    for item in new:
        before = rows.get(item.name) or ItemProgress(item.name, 0, 0)
        done, total = _advance(before.done, before.total, item.done, item.total)
        rows[item.name] = ItemProgress(item.name, done, total or 0)
    return tuple(rows.values())


def _advance(last_done: int, last_total: int | None, done: int, total: int | None) -> tuple[int, int | None]:
    """Return how far it is, neither less nor a smaller part than it was."""
    if total is None:
        total = last_total
    done = max(done, last_done)
    if total is None:
        return done, None
    total = max(total, last_done)
    if last_total:
        same_part = -(-last_done * total // last_total)
        done = max(done, same_part)
    return min(done, total), total
