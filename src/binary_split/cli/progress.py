"""Progress of long work: a bar on a terminal, NDJSON for programs, else nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import click

from binary_split.cli.output import describe_error, emit_json, silence_stdout
from binary_split.errors import BinarySplitError, OutputError
from binary_split.model import Progress, ProgressSink, ignore_progress
from binary_split.progress import Rate, StepRate, steady_progress

Mode = Literal["auto", "bar", "json", "none"]

_EVENT_INTERVAL_S = 0.2

progress_option = click.option(
    "--progress",
    type=click.Choice(["auto", "bar", "json", "none"]),
    default="auto",
    show_default=True,
    help="A bar on stderr, NDJSON lines on stdout, or none; auto: a bar if stderr is a terminal.",
)


@contextmanager
def show_progress(mode: Mode) -> Iterator[ProgressSink]:
    """Give a sink that shows what it is told in the given way, for one piece of work."""
    with _display(mode) as display, steady_progress(display) as sink:
        yield sink


@contextmanager
def _display(mode: Mode) -> Iterator[ProgressSink]:
    if mode == "bar" or (mode == "auto" and sys.stderr.isatty()):
        from binary_split.cli.bar import show_bar

        with show_bar() as sink:
            yield sink
    elif mode == "json":
        with _json_lines() as sink:
            yield sink
    else:
        yield ignore_progress


@contextmanager
def _json_lines() -> Iterator[ProgressSink]:
    lines = _JsonLines()
    try:
        yield lines
    except BinarySplitError as error:
        lines.emit({"event": "error", **describe_error(error)})
        raise
    lines.verify_written()


class _JsonLines:
    """Writes a line where something begins, ends, stalls or moves again, and one every 0.2 s between."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._rate = StepRate()
        self._last: Progress | None = None
        self._next_event = 0.0
        self._has_reader = True
        self._failure: OutputError | None = None

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        last = self._last
        rate = self._rate.measure(progress)
        is_same = last is not None and last.step == progress.step and _phase(last) == _phase(progress)
        if is_same and now < self._next_event:
            return
        self._last, self._next_event = progress, now + _EVENT_INTERVAL_S
        self.emit(self._describe(progress, rate, now))

    def emit(self, event: dict[str, Any]) -> None:
        """Write an event, if there is still somebody who reads: the work is not for the reader alone."""
        if not self._has_reader:
            return
        try:
            emit_json(event)
        except BrokenPipeError:
            self._has_reader = False
            silence_stdout()
        except OutputError as error:
            self._has_reader, self._failure = False, error

    def verify_written(self) -> None:
        """Tell, once the work is done, that its lines went to a disk that is full.

        Raises:
            OutputError: they did.
        """
        if self._failure is not None:
            raise self._failure

    def _describe(self, progress: Progress, rate: Rate, now: float) -> dict[str, Any]:
        return {
            "event": "progress",
            "step": progress.step,
            "done_bytes": progress.done,
            "total_bytes": progress.total,
            "rate_bytes_per_s": round(rate.bytes_per_s),
            "remaining_s": None if rate.remaining_s is None else round(rate.remaining_s, 1),
            "elapsed_s": round(now - self._started, 3),
            "images": [
                {"name": item.name, "done_bytes": item.done, "total_bytes": item.total}
                for item in progress.items
            ],
            "waiting_for": progress.waiting_for,
        }


def _phase(progress: Progress) -> tuple[bool, int, str | None]:
    """Return what is told at once when it changes: how much is complete, and a stall."""
    complete = sum(item.done == item.total for item in progress.items)
    return progress.done == progress.total, complete, progress.waiting_for
