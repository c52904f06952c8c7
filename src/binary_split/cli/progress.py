"""Progress of long work: a bar on a terminal, NDJSON for programs, else nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import click

from binary_split.cli.output import describe_error, emit_json
from binary_split.errors import BinarySplitError
from binary_split.model import Progress, ProgressSink, ignore_progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

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
    """Give a sink that shows what it is told in the given way."""
    if mode == "bar" or (mode == "auto" and sys.stderr.isatty()):
        with _bar() as sink:
            yield sink
    elif mode == "json":
        with _json_lines() as sink:
            yield sink
    else:
        yield ignore_progress


@contextmanager
def _json_lines() -> Iterator[ProgressSink]:
    try:
        yield _JsonSink()
    except BinarySplitError as error:
        emit_json({"event": "error", **describe_error(error)})
        raise


class _JsonSink:
    """Writes a line for each step that begins or ends, and one every 0.2 s between."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._step = ""
        self._next_event = 0.0
        self._step_started = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        is_new = progress.step != self._step
        if is_new:
            self._step, self._step_started = progress.step, now
        if not is_new and now < self._next_event and progress.done != progress.total:
            return
        self._next_event = now + _EVENT_INTERVAL_S
        elapsed = now - self._step_started
        rate = progress.done / elapsed if elapsed > 0 else 0.0
        remaining = (progress.total - progress.done) / rate if progress.total and rate else None
        emit_json(
            {
                "event": "progress",
                "step": progress.step,
                "done_bytes": progress.done,
                "total_bytes": progress.total,
                "rate_bytes_per_s": round(rate),
                "remaining_s": None if remaining is None else round(remaining, 1),
                "elapsed_s": round(now - self._started, 3),
            }
        )


@contextmanager
def _bar() -> Iterator[ProgressSink]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<16}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _BarSink(bar)


class _BarSink:
    """One row for each step; a step without bytes gets none of its own."""

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._rows: dict[str, TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.step not in self._rows:
            for row in self._rows.values():
                self._bar.update(row, visible=False)
            title = progress.step.replace("_", " ")
            self._rows[progress.step] = self._bar.add_task(title, total=progress.total)
        self._bar.update(self._rows[progress.step], completed=progress.done, total=progress.total)
