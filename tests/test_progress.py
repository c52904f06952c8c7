"""Whatever is reported, what is passed on never goes backwards, and what ends well ends at its total."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from fractions import Fraction
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binary_split.model import ItemProgress, Progress
from binary_split.progress import ERROR_STEP, StepRate, steady_progress
from binary_split.unlock.states import State

numbers = st.integers(-3, 50)
items = st.builds(ItemProgress, st.sampled_from("abc"), numbers, numbers)
events = st.builds(
    Progress,
    st.sampled_from(["checking", "loading", "verifying"]),
    numbers,
    st.none() | numbers,
    st.lists(items, max_size=3).map(tuple),
    st.none() | st.just("the engine"),
)


def pass_on(reported: Iterable[Progress]) -> list[Progress]:
    seen: list[Progress] = []
    with steady_progress(seen.append) as report:
        for event in reported:
            report(event)
    return seen


def part(done: int, total: int | None) -> Fraction:
    return Fraction(done, total) if total else Fraction(0)


@given(st.lists(events))
def test_nothing_ever_goes_backwards(reported: list[Progress]) -> None:
    seen = pass_on(reported)
    for before, after in pairwise(seen):
        if before.step != after.step:
            continue
        assert after.done >= before.done
        assert part(after.done, after.total) >= part(before.done, before.total)
        rows = {item.name: item for item in after.items}
        for item in before.items:
            assert rows[item.name].done >= item.done
            assert part(rows[item.name].done, rows[item.name].total) >= part(item.done, item.total)
    for event in seen:
        assert 0 <= event.done <= (event.done if event.total is None else event.total)
        assert all(0 <= item.done <= item.total for item in event.items)


@given(st.lists(events))
def test_a_step_comes_once_and_ends_at_its_total(reported: list[Progress]) -> None:
    runs = [list(run) for _step, run in groupby(pass_on(reported), key=lambda event: event.step)]
    assert len({run[0].step for run in runs}) == len(runs)
    for run in runs:
        last = run[-1]
        assert last.done == (last.total or 0)
        assert all(item.done == item.total for item in last.items)
        assert last.waiting_for is None


@given(st.lists(st.integers(0, 100), min_size=1))
def test_what_is_steady_already_is_passed_on_as_it_is(dones: list[int]) -> None:
    reported = [Progress("loading", done, 100) for done in sorted(dones)]
    assert pass_on(reported)[: len(reported)] == reported


def test_every_event_of_the_step_under_way_is_passed_on() -> None:
    beat = Progress("loading", 5, 10, waiting_for="the engine")
    assert pass_on([beat] * 4) == [beat] * 4 + [Progress("loading", 10, 10)]


def test_what_fails_is_not_said_to_be_complete() -> None:
    seen: list[Progress] = []

    def fail() -> None:
        with steady_progress(seen.append) as report:
            report(Progress("loading", 5, 10))
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        fail()
    assert seen == [Progress("loading", 5, 10)]
    assert pass_on([Progress("loading", 5, 10), Progress(ERROR_STEP)])[-1] == Progress(ERROR_STEP)
    assert ERROR_STEP == State.ERROR


def test_what_comes_late_of_a_step_that_was_left_is_dropped() -> None:
    seen = pass_on([Progress("loading", 5, 10), Progress("verifying"), Progress("loading", 6, 10)])
    assert [event.step for event in seen] == ["loading", "loading", "verifying"]


def test_many_threads_may_report() -> None:
    seen: list[Progress] = []
    with steady_progress(seen.append) as report:
        work = [
            threading.Thread(target=lambda: [report(Progress("loading", n, 500)) for n in range(500)])
            for _ in range(4)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    assert len(seen) == 2001
    assert [event.done for event in seen] == sorted(event.done for event in seen)


def test_the_rate_is_the_mean_of_a_step_and_begins_anew_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("binary_split.progress.time.monotonic", lambda: now)
    rate = StepRate()
    assert rate.measure(Progress("loading", 5, 100)) == (0.0, None)
    now = 102.0
    assert rate.measure(Progress("loading", 20, 100)) == (10.0, 8.0)
    assert rate.measure(Progress("loading", 20)) == (10.0, None)
    assert rate.measure(Progress("verifying", 50, 60)) == (0.0, None)
    now = 107.0
    assert rate.measure(Progress("verifying", 60, 60)) == (12.0, 0.0)
