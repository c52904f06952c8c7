"""Drawings of what was measured, as SVG that is the same for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from scripts.bench.figures import Curve, Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OWN, _PEER, _PROMISE = "#1f6f8b", "#b8b8b0", "#c0392b"
mpl.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9})


def draw_figures(path: Path, figures: Sequence[Figure]) -> None:
    """Draw ratios as bars, with what is promised of each as a line across it."""
    canvas = Canvas(figsize=(8, 0.42 * len(figures) + 0.8), layout="constrained")
    axes = canvas.subplots()
    places = range(len(figures))
    colours = [_OWN if "unlock" in figure.what or figure.goal else _PEER for figure in figures]
    errors = (
        [figure.value - figure.low for figure in figures],
        [figure.high - figure.value for figure in figures],
    )
    axes.barh(
        places, [figure.value for figure in figures], xerr=errors, color=colours, ecolor="#555", height=0.6
    )
    for place, figure in zip(places, figures, strict=True):
        promise = figure.at_most if figure.at_most is not None else figure.at_least
        if promise is not None:
            axes.plot([promise, promise], [place - 0.4, place + 0.4], color=_PROMISE, linewidth=2)
    axes.set_yticks(places, [figure.what for figure in figures])
    axes.invert_yaxis()
    axes.axvline(1, color="#888", linewidth=0.8, linestyle=":")
    axes.set_xlabel("time, of a plain docker load (red: at most, as promised)")
    _finish(canvas, [axes], path)


def draw_curves(path: Path, curves: Sequence[Curve]) -> None:
    """Draw curves, those of one chart together, the charts side by side."""
    charts = list(dict.fromkeys(curve.chart for curve in curves))
    canvas = Canvas(figsize=(max(5, 3.6 * len(charts)), 3.2), layout="constrained")
    drawn = [canvas.add_subplot(1, len(charts), place) for place in range(1, len(charts) + 1)]
    for axes, chart in zip(drawn, charts, strict=True):
        for curve in (each for each in curves if each.chart == chart):
            colour = _OWN if "unlock" in curve.name else _PEER
            across, up = zip(*curve.points, strict=True)
            axes.plot(across, up, marker="o", color=colour, label=curve.name)
        axes.set_title(chart, fontsize=10)
        axes.set_xlabel(curves[0].across)
        axes.set_ylabel(next(each.up for each in curves if each.chart == chart))
        axes.set_ylim(bottom=0)
    drawn[0].legend(frameon=False, fontsize=8)
    _finish(canvas, drawn, path)


def _finish(canvas: Canvas, drawn: Sequence[Axes], path: Path) -> None:
    for axes in drawn:
        axes.spines[["top", "right"]].set_visible(False)
    canvas.savefig(path, format="svg", metadata={"Date": None})
