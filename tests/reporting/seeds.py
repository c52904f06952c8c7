"""One seed for all that is random in the tests: printed, so that a failure can be repeated."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Generator

import pytest

VARIABLE = "BINARY_SPLIT_TEST_SEED"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help=f"of all chance in the tests; else {VARIABLE}, else by chance")


@pytest.hookimpl(tryfirst=True)  # before Hypothesis looks for its own
def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed; processes that share the tests are given it with the other options."""
    if config.option.seed is None:
        config.option.seed = int(os.environ.get(VARIABLE) or secrets.randbelow(1 << 31))
    if getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(config.option.seed)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.option.seed} (repeat with --seed or {VARIABLE})"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say the seed where a test failed that used it."""
    report: pytest.TestReport = yield
    if report.failed and {"seed", "chance"}.intersection(getattr(item, "fixturenames", ())):
        report.sections.append(("seed", f"repeat with --seed {item.config.option.seed}"))
    return report


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The seed of this run, for programs that take one."""
    chosen: int = pytestconfig.option.seed
    return chosen


@pytest.fixture
def chance(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """The chance of one test: the same with the same seed, whatever ran before."""
    return random.Random(f"{seed} {request.node.nodeid}")
