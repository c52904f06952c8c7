"""What became of each test, heard in the process that reports, whether it ran the tests itself or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

PASSED, FAILED, COULD_NOT_RUN = "passed", "failed", "could not run"


@dataclass
class Outcome:
    """One test: how it ended, how long it took with its fixtures, and what is noted of it."""

    word: str = PASSED
    seconds: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)

    def hear(self, report: pytest.TestReport) -> None:
        """Take in one of the three reports of a test: setting up, running, clearing away."""
        self.seconds += report.duration
        self.notes.update(report.user_properties)
        if report.failed:
            self.word = FAILED
        elif report.skipped and self.word == PASSED:
            self.word = COULD_NOT_RUN


class Outcomes:
    """Keeps the outcomes of the tests that a note is made of."""

    def __init__(self, note: str) -> None:
        self._note = note
        self.tests: dict[str, Outcome] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._note in dict(report.user_properties):
            self.tests.setdefault(report.nodeid, Outcome()).hear(report)


def is_reporting(config: pytest.Config) -> bool:
    """Whether this process reports, and does not only run a share of the tests."""
    return not hasattr(config, "workerinput")
