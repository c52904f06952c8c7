"""What the benches find out: figures beside what is promised, kept in files of which the page is made."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.bench.measuring import describe_machine

FOLDER = Path(__file__).resolve().parents[2] / "build" / "bench"


def _commit() -> str:
    command = ("git", "describe", "--always", "--dirty")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        what: was measured, in words.
        value: the median.
        low: the least that was measured.
        high: the most.
        unit: ``x`` for a ratio.
        at_least: what is promised, where more is better.
        at_most: what is promised, where less is better; a figure without either stands for comparison.
    """

    what: str
    value: float
    low: float
    high: float
    unit: str = "x"
    at_least: float | None = None
    at_most: float | None = None

    @classmethod
    def of(
        cls,
        what: str,
        values: Sequence[float],
        *,
        unit: str = "x",
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> Figure:
        """Return the figure of what several rounds gave."""
        return cls(what, statistics.median(values), min(values), max(values), unit, at_least, at_most)

    @property
    def goal(self) -> str:
        """What is promised, or an empty text."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    @property
    def is_kept(self) -> bool:
        """Whether the promise holds, to the digits that are shown."""
        shown = round(self.value, 2)
        return (self.at_least is None or shown >= self.at_least) and (
            self.at_most is None or shown <= self.at_most
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """How one quantity grows with another.

    Attributes:
        chart: title of the drawing in which it is one line.
        name: of the line.
        across: what grows from left to right, with its unit.
        up: what is measured, with its unit.
        points: both, in order.
    """

    chart: str
    name: str
    across: str
    up: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Results:
    """What one job found.

    Attributes:
        title: what was done, with its sizes and rounds.
        figures: in the order of the page.
        curves: those that are drawn.
        missing: what could not be measured, and why.
        machine: on which, with the versions that matter.
        date: when, ISO 8601.
        commit: of which state of the project.
    """

    title: str
    figures: Sequence[Figure]
    curves: Sequence[Curve] = ()
    missing: Sequence[str] = ()
    machine: str = field(default_factory=describe_machine)
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))
    commit: str = field(default_factory=_commit)

    def show(self) -> None:
        """Print the figures beside the promises."""
        print(f"\n{self.title:<58} {'figure':>9} {'promise':>9}")
        for figure in self.figures:
            mark = "" if not figure.goal else "kept" if figure.is_kept else "NOT KEPT"
            unit = "" if figure.unit == "x" else figure.unit
            print(f"  {figure.what:<56} {figure.value:>9.2f} {figure.goal:>9} {unit:<5} {mark}")
        for missing in self.missing:
            print(f"  not measured: {missing}")

    def save(self, job: str, folder: Path = FOLDER) -> None:
        """Keep them for the page."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{job}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")


def load_results(job: str, folder: Path = FOLDER) -> Results | None:
    """Return what a job found when it was last run here, or None."""
    path = folder / f"{job}.json"
    if not path.exists():
        return None
    kept = json.loads(path.read_text())
    kept["figures"] = [Figure(**each) for each in kept["figures"]]
    kept["curves"] = [
        Curve(**{**each, "points": [tuple(point) for point in each["points"]]}) for each in kept["curves"]
    ]
    return Results(**kept)


def ratios(times: Mapping[str, Sequence[float]], peer: str, own: str) -> list[float]:
    """Return how much faster ``own`` was than its peer, in each round."""
    return [theirs / ours for theirs, ours in zip(times[peer], times[own], strict=True)]
