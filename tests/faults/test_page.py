"""The page of the faults is what the tests say, and a number without a test is no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import faults
from scripts.fault_marks import MarkedTest, MarkError, find_marked

PROMISES = """
default = "It holds."
[[part]]
name = "One"
[[part.fault]]
number = 1
fault = "Rain"
promise = "Wet."
[[part]]
name = "Two"
[[part.fault]]
number = 2
fault = "Snow"
promise = "White."
"""

MARKED = """
import pytest
pytestmark = pytest.mark.fault(1)
class TestIt:
    pytestmark = [pytest.mark.fault(2), pytest.mark.soak(minutes=1)]
    def test_a(self): ...
    @pytest.mark.fault(3, 4)
    def test_b(self): ...
@pytest.mark.parametrize("x", [1, pytest.param(2, marks=[pytest.mark.fault(5), pytest.mark.soak(minutes=1)])])
def test_c(x): ...
def helper(): ...
@pytest.mark.newer_engine
def test_d(): ...
"""


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """A folder for tests of the test's own."""
    folder = tmp_path / "tests"
    folder.mkdir()
    return folder


def collect(folder: Path, marked: str) -> list[faults.Fault]:
    (folder / "test_x.py").write_text(f"import pytest\n{marked}")
    (folder / "faults.toml").write_text(PROMISES)
    return faults.collect(folder / "faults.toml", folder)


def test_the_page_is_up_to_date_and_every_number_has_a_test() -> None:
    assert faults.main(["--check"]) == 0
    found = faults.collect()
    assert [fault.number for fault in found] == list(range(1, 61))
    assert all(fault.tests for fault in found)


def test_marks_are_found_on_modules_classes_tests_and_cases(tests: Path) -> None:
    (tests / "test_x.py").write_text(MARKED)
    found = {test.name.rpartition("::")[2]: test for test in find_marked(tests)}
    assert {name: sorted(test.numbers) for name, test in found.items()} == {
        "test_a": [1, 2],
        "test_b": [1, 2, 3, 4],
        "test_c": [1, 5],
        "test_d": [1],
    }
    assert [name for name, test in found.items() if test.is_long] == ["test_a", "test_b"]
    assert [name for name, test in found.items() if test.is_elsewhere] == ["test_d"]
    assert found["test_a"].name == "tests/test_x.py::TestIt::test_a"


@pytest.mark.parametrize(
    "marked",
    [
        "CASES = [pytest.param(1, marks=pytest.mark.fault(1))]\ndef test_a(): ...",
        "@pytest.mark.fault()\ndef test_a(): ...",
        "@pytest.mark.fault(*range(3))\ndef test_a(): ...",
        "@pytest.mark.fault('1')\ndef test_a(): ...",
        "@pytest.mark.fault(1)\ndef helper(): ...",
    ],
)
def test_a_mark_that_would_not_be_seen_is_an_error(tests: Path, marked: str) -> None:
    with pytest.raises(MarkError):
        collect(tests, marked)


@pytest.mark.parametrize(
    ("marked", "complaint"),
    [
        ("@pytest.mark.fault(1)\ndef test_a(): ...", "fault 2 has no test"),
        ("@pytest.mark.fault(1, 2, 3)\ndef test_a(): ...", r"stands for \[3\]"),
        ("@pytest.mark.soak(minutes=1)\n@pytest.mark.fault(1, 2)\ndef test_a(): ...", "fault 1 has no test"),
    ],
)
def test_a_number_without_test_or_promise_is_an_error(tests: Path, marked: str, complaint: str) -> None:
    with pytest.raises(MarkError, match=complaint):
        collect(tests, marked)


def test_numbers_are_without_gaps(tests: Path) -> None:
    (tests / "faults.toml").write_text(PROMISES.replace("number = 2", "number = 3"))
    with pytest.raises(MarkError, match="1 to 2"):
        faults.collect(tests / "faults.toml", tests)


def test_the_page_shows_each_tests_and_its_last_result(tests: Path) -> None:
    found = collect(tests, "@pytest.mark.fault(1, 2)\ndef test_a(): ...")
    name = found[0].tests[0].name
    outcomes = {
        "commit": "abc",
        "date": "2026-01-02",
        "machine": "2 cores",
        "seconds": 61,
        "seed": 7,
        "tests": {name: {"1": {"passed": 3, "failed": 1, "seconds": 2.04}}},
    }
    page = faults.serialise(found, outcomes, "It holds.")
    assert "Of 2 faults, 0 have passed" in page
    assert "Last run: 2026-01-02, commit abc, seed 7, 1 min 1 s on 2 cores." in page
    assert "Last result: 3 passed, 1 failed, in 2.0 s." in page
    assert "Last result: not run yet." in page
    assert page.count(f"- `{name}`\n") == 2
    assert page.index("## One") < page.index("### 1. Rain") < page.index("## Two") < page.index("### 2. Snow")


def test_where_a_test_is_run_is_said() -> None:
    long = MarkedTest("x::test_long", frozenset({1}), is_long=True, is_elsewhere=False)
    fault = faults.Fault(1, "One", "Rain", "Wet.", (long,))
    assert "- `x::test_long` (in `make soak`)" in faults.serialise([fault], {}, "")
    assert "They have not been run yet." in faults.serialise([fault], {}, "")
