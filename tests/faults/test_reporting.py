"""What the tests say of themselves: the seed, the soak's table, and what became of each fault."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = [part for name in ("seeds", "soaking", "faults") for part in ("-p", f"tests.reporting.{name}")]
pytestmark = pytest.mark.slow  # each starts pytest

TESTS = """
import random
import pytest

def test_chance(chance):
    print("drawn", chance.random(), chance.randrange(10**9))

@pytest.mark.fault(1, 2)
@pytest.mark.parametrize("case", [1, 2])
def test_two_cases(case):
    assert case == 1

@pytest.mark.fault(2)
def test_missing():
    pytest.skip("could not run here")

@pytest.mark.soakBOUND
def test_long(rounds):
    for round in rounds(7):
        pass

@pytest.fixture
def broken():
    yield
    raise ValueError

@pytest.mark.soak(minutes=0)
@pytest.mark.fault(3)
def test_that_has_no_time(rounds, broken):
    assert list(rounds(5)) == [0]

def test_that_fails_by_chance(seed):
    assert seed < 0
"""


def run(folder: Path, *options: str, bound: str = "(minutes=1)", **environment: str) -> str:
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  fault\n  soak\n")
    (folder / "test_it.py").write_text(TESTS.replace("BOUND", bound))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:schemathesis",
            "-p",
            "no:cacheprovider",
            *PLUGINS,
            *options,
        ],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.stdout + ran.stderr


def drawn(said: str) -> str:
    (line,) = re.findall(r"drawn (.*)", said)
    return str(line)


def test_the_same_seed_draws_the_same_alone_or_among_others_however_given(
    tmp_path: Path,
) -> None:
    whole = run(tmp_path, "-s")
    (seed,) = re.findall(r"seed: (\d+) \(repeat", whole)
    assert drawn(run(tmp_path, "-s", "-k", "test_chance", "--seed", seed)) == drawn(whole)
    assert drawn(run(tmp_path, "-s", BINARY_SPLIT_TEST_SEED=seed)) == drawn(whole)
    assert drawn(run(tmp_path, "-s", "--seed", str(int(seed) + 1))) != drawn(whole)
    assert f"repeat with --seed {seed}" in whole.partition("test_that_fails_by_chance")[2]


@pytest.mark.parametrize("options", [[], ["-p", "xdist", "-n", "2"]], ids=["in one process", "in two"])
def test_the_outcomes_of_each_fault_are_counted(tmp_path: Path, options: list[str]) -> None:
    said = run(tmp_path, "-m", "fault", "--seed", "5", "--fault-outcomes", "found.json", *options)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["seed"] == 5, said
    counts = {
        name.partition("::")[2]: {
            number: {word: row[word] for word in row if word != "seconds"} for number, row in numbers.items()
        }
        for name, numbers in found["tests"].items()
    }
    assert counts == {
        "test_two_cases": {"1": {"passed": 1, "failed": 1}, "2": {"passed": 1, "failed": 1}},
        "test_missing": {"2": {"could not run": 1}},
        "test_that_has_no_time": {"3": {"failed": 1}},
    }
    assert {"commit", "date", "machine", "seconds"} < found.keys()


def test_the_soak_ends_with_a_table(tmp_path: Path) -> None:
    said = run(tmp_path, "-m", "soak", "--seed", "5")
    table = said.partition("= soak =")[2].splitlines()
    assert [line.split()[:5] for line in table if "::" in line][:2] == [
        ["test_it.py::test_long", "7", "of", "7", "5"],
        ["test_it.py::test_that_has_no_time", "1", "of", "5", "5"],
    ]
    assert "2 tests, 0.0 minutes, at most 40" in said


@pytest.mark.parametrize(
    ("bound", "complaint"), [("(minutes=41)", "41.0 minutes, which is over 40"), ("", "state its bound")]
)
def test_a_soak_that_would_not_end_in_time_does_not_begin(tmp_path: Path, bound: str, complaint: str) -> None:
    said = run(tmp_path, "-m", "soak", bound=bound)
    assert complaint in said
    assert " passed" not in said
