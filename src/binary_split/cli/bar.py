"""Progress on a terminal: one bar for the whole step, and one line for each image.

Imports rich, and is itself imported only where something is shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Column
from rich.text import Text

from binary_split.model import ItemProgress, Progress, ProgressSink
from binary_split.sizes import format_size

_REFRESHES_PER_S = 5
_SPEED_WINDOW_S = 10.0
_ROWS_BESIDES = 3  # the overall bar, what is not shown, and the line on which the cursor stands
_ECHO_COLUMNS = 4  # where the terminal writes ^C: wrapped to a line of its own, it would upset the tidying


@dataclass(frozen=True, slots=True)
class Shown:
    """What of many images is shown line by line, and how many are not: done, and still to come."""

    items: tuple[ItemProgress, ...]
    done: int = 0
    to_come: int = 0


def choose_shown(items: Sequence[ItemProgress], rows: int) -> Shown:
    """Choose what fits into some rows: all, or else those that are under way before those that wait."""
    if len(items) <= rows:
        return Shown(tuple(items))
    open_items = [item for item in items if item.done < item.total]
    begun_first = sorted(open_items, key=lambda item: item.done == 0)  # in their order otherwise
    shown = set(begun_first[: max(rows, 0)])
    return Shown(
        tuple(item for item in open_items if item in shown),
        done=len(items) - len(open_items),
        to_come=len(open_items) - len(shown),
    )


@contextmanager
def show_bar() -> Iterator[ProgressSink]:
    """Give a sink that draws what it is told on stderr; nothing of it is left at the end."""
    console = _Terminal(stderr=True)
    bars = _Bars(console)
    # What is written to stderr meanwhile appears above; stdout is for data and left alone.
    with Live(
        bars,
        console=console,
        refresh_per_second=_REFRESHES_PER_S,
        transient=True,
        redirect_stdout=False,
    ):
        yield bars.report


class _Terminal(Console):
    """A terminal whose cursor is never hidden, so that no way to die leaves it so, and that may go away."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002 - rich's own
        """Leave the cursor as it is."""
        return False

    def on_broken_pipe(self) -> None:
        """Go silent: the work is not for whoever watches alone."""
        self.quiet = True


class _Bars:
    """What is drawn: the latest event; to be told of one costs the working thread nothing."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._latest: Progress | None = None
        self._step = ""
        self._overall = TaskID(0)
        self._table = RichProgress(
            _OverallOnly(SpinnerColumn()),
            _Title(table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None),
            _Sizes(binary_units=True, table_column=Column(no_wrap=True, justify="right")),
            _OverallOnly(_Speed(table_column=Column(no_wrap=True, justify="right"))),
            _OverallOnly(TimeRemainingColumn(table_column=Column(no_wrap=True))),
            console=console,
            auto_refresh=False,
            speed_estimate_period=_SPEED_WINDOW_S,
            expand=True,
        )

    def report(self, progress: Progress) -> None:
        """Take note of an event."""
        self._latest = progress

    def __rich__(self) -> RenderableType:
        """Return the latest event as rich draws it."""
        latest = self._latest
        if latest is None:
            return Text()
        shown = choose_shown(latest.items, self._console.size.height - _ROWS_BESIDES)
        lines = (_line(number, item) for number, item in enumerate(shown.items, start=1))
        table = self._table.make_tasks_table([self._update_overall(latest), *lines])
        rows: list[RenderableType] = [table]
        if shown.done or shown.to_come:
            rows.append(Text(f"  {shown.done} done, {shown.to_come} to come", style="dim"))
        return Constrain(Group(*rows), self._console.size.width - _ECHO_COLUMNS)

    def _update_overall(self, latest: Progress) -> Task:
        """Return the whole step's task, in which rich measures the rate."""
        if latest.step != self._step:
            for task in self._table.task_ids:
                self._table.remove_task(task)
            title = latest.step.replace("_", " ")
            self._overall = self._table.add_task(title, total=latest.total, is_image=False)
            self._step = latest.step
        self._table.update(
            self._overall, total=latest.total, completed=latest.done, waiting_for=latest.waiting_for
        )
        return next(task for task in self._table.tasks if task.id == self._overall)


def _line(number: int, item: ItemProgress) -> Task:
    fields = {"is_image": True, "waiting_for": None}
    return Task(TaskID(-number), item.name, item.total, item.done, time.monotonic, fields=fields)


class _Title(ProgressColumn):
    """What is done, or who is waited for."""

    def render(self, task: Task) -> Text:
        if waiting_for := task.fields["waiting_for"]:
            return Text(f"waiting for {waiting_for}", style="yellow")
        return Text(task.description)


class _Sizes(DownloadColumn):
    """How much of how much, where a step has bytes at all."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total is not None or task.completed else Text()


class _Speed(ProgressColumn):
    """The rate, in the units of the sizes beside it; what stalls has none."""

    def render(self, task: Task) -> Text:
        if task.fields["waiting_for"]:
            return Text()
        speed = task.finished_speed or task.speed
        return Text(f"{format_size(speed)}/s" if speed else "", style="progress.data.speed")


class _OverallOnly(ProgressColumn):
    """A column that is empty in an image's line."""

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__(column.get_table_column())
        self._column = column

    def render(self, task: Task) -> RenderableType:
        return Text() if task.fields["is_image"] else self._column(task)
