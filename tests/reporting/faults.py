"""Writes, when asked, how the tests of each fault ended: what docs/faults.md shows as the last result."""

from __future__ import annotations

import json
import subprocess
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scripts.bench.measuring import describe_machine
from tests.reporting.outcomes import Outcomes, is_reporting

NUMBERS = "faults"
_HEARD = pytest.StashKey[Outcomes]()
_BEGUN = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-outcomes", type=Path, help="write how the tests of each fault ended")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_BEGUN] = time.monotonic()
    config.stash[_HEARD] = Outcomes(NUMBERS)
    config.pluginmanager.register(config.stash[_HEARD], "fault outcomes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note on each test the faults that it stands for, so that its reports carry them."""
    for item in items:
        numbers = sorted({number for marker in item.iter_markers("fault") for number in marker.args})
        if numbers:
            item.user_properties.append((NUMBERS, numbers))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    path: Path | None = config.option.fault_outcomes
    if path is not None and is_reporting(config):
        path.write_text(serialise(config), encoding="utf-8")


def serialise(config: pytest.Config) -> str:
    """Return the document: when, how long, with which seed, and each test's outcomes, its cases together."""
    tests: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for name, test in config.stash[_HEARD].tests.items():
        for number in test.notes[NUMBERS]:
            row = tests[name.partition("[")[0]][str(number)]
            row[test.word] += 1
            row["seconds"] = round(row["seconds"] + test.seconds, 3)
    document = {
        "commit": _commit(config.rootpath),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": describe_machine(),
        "seconds": round(time.monotonic() - config.stash[_BEGUN]),
        "seed": config.option.seed,
        "tests": tests,
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _commit(root: Path) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
