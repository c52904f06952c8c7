"""The soak is bounded: each of its tests states its minutes and stops by itself; a table ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.reporting.outcomes import Outcomes

MOST_MINUTES = 40  # of all tests together; what they need besides is cut off by `make soak` itself, at 42
MINUTES, ROUNDS = "soak minutes", "rounds"
Rounds = Callable[[int], Iterator[int]]
_HEARD = pytest.StashKey[Outcomes]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_HEARD] = Outcomes(MINUTES)
    config.pluginmanager.register(config.stash[_HEARD], "soak outcomes")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to begin what would not end in time."""
    total = 0.0
    for item in session.items:
        marker = item.get_closest_marker("soak")
        if marker is None:
            continue
        if "minutes" not in marker.kwargs:
            raise pytest.UsageError(f"{item.nodeid}: state its bound, as in soak(minutes=2)")
        item.user_properties.append((MINUTES, marker.kwargs["minutes"]))
        total += marker.kwargs["minutes"]
    if total > MOST_MINUTES:
        raise pytest.UsageError(f"the soak would take {total:.1f} minutes, which is over {MOST_MINUTES}")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Rounds:
    """Count rounds up to a number; in the soak, at most until the minutes of the test are over."""
    marker = request.node.get_closest_marker("soak")
    end = time.monotonic() + 60 * marker.kwargs["minutes"] if marker else float("inf")

    def count(wanted: int) -> Iterator[int]:
        done = 0
        try:
            while done < wanted and (done == 0 or time.monotonic() < end):
                yield done
                done += 1
        finally:
            request.node.user_properties.append((ROUNDS, f"{done} of {wanted}"))

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was done, how often, and how it ended."""
    tests = config.stash[_HEARD].tests
    if not tests:
        return
    terminalreporter.section("soak")
    shown = {name: name.removeprefix("tests/") for name in tests}
    width = max(map(len, shown.values()))
    terminalreporter.line(f"{'what':<{width}} {'rounds':>16} {'seed':>11} {'outcome':>13} {'seconds':>8}")
    for name, test in tests.items():
        terminalreporter.line(
            f"{shown[name]:<{width}} {test.notes.get(ROUNDS, ''):>16} {config.option.seed:>11}"
            f" {test.word:>13} {test.seconds:>8.1f}"
        )
    minutes = sum(test.seconds for test in tests.values()) / 60
    terminalreporter.line(f"{len(tests)} tests, {minutes:.1f} minutes, at most {MOST_MINUTES}")
