"""The page of benchmarks says what was measured, and says so where a promise is not kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.bench.figures import Curve, Figure, Results, load_results, ratios
from scripts.bench.page import write_page

FIGURES = [
    Figure.of("cold: unlock cbc", [0.5, 0.61, 0.7], at_most=0.65),
    Figure.of("unseal age: speed, of age's", [2.0, 2.1, 2.2], at_least=2.5),
    Figure.of("peak memory", [60], unit="MiB"),
]
CURVES = [Curve("Time", "binary-split unlock", "MiB", "seconds", [(256, 2.0), (512, 4.0)])]
RESULTS = Results("2048 MiB", FIGURES, CURVES, ["age is not installed"], "2 cores", "2026-01-01", "abc")


def test_each_figure_stands_beside_its_promise(tmp_path: Path) -> None:
    write_page({"unlock-docker": RESULTS}, tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "| cold: unlock cbc | 0.61 | 0.5 to 0.7 | ≤ 0.65 | kept |" in page
    assert "| unseal age: speed, of age's | 2.10 | 2.00 to 2.20 | ≥ 2.5 | **not kept** |" in page
    assert "| peak memory | 60.00 MiB |  |  |  |" in page
    assert "Not measured: age is not installed." in page


@pytest.mark.parametrize("job", ["growth", "unlock-docker"])
def test_the_same_figures_give_the_same_drawing(job: str, tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_page({job: RESULTS}, tmp_path / name)
        drawn.append((tmp_path / name / "benchmarks" / f"{job}.svg").read_bytes())
    assert drawn[0] == drawn[1]
    assert b"<svg" in drawn[0]


def test_results_are_kept_as_they_were(tmp_path: Path) -> None:
    RESULTS.save("growth", tmp_path)
    assert load_results("growth", tmp_path) == RESULTS
    assert load_results("delta", tmp_path) is None


def test_a_ratio_is_taken_within_its_round() -> None:
    assert ratios({"peer": [4.0, 9.0], "own": [2.0, 3.0]}, "peer", "own") == [2.0, 3.0]
