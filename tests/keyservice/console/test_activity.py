"""The chart of the last day's releases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from binary_split.keyservice.console import activity
from binary_split.keyservice.console.activity import HOURS, draw, read_activity
from binary_split.keyservice.store import Store
from tests.keyservice.conftest import Hands

DAYS = timedelta(days=3)


def test_releases_are_counted_by_the_hour_on_both_databases(any_store: Store, clock: Hands) -> None:
    token = any_store.tokens.issue("k1", lifetime=DAYS).text
    any_store.release(token)  # more than a day before
    clock.time += timedelta(hours=30)
    for pause in (0, 1, 1, 3):
        clock.time += timedelta(hours=pause)
        any_store.release(token)
    any_store.release(token)
    found = read_activity(any_store)
    assert [bar.count for bar in found.bars][-6:] == [1, 1, 1, 0, 0, 2]
    assert (len(found.bars), found.total, found.most, found.is_cut) == (HOURS, 5, 2, False)


def test_what_is_read_has_a_bound_and_the_chart_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = store.tokens.issue("k1", lifetime=DAYS).text
    for _ in range(5):
        store.release(token)
    monkeypatch.setattr(activity, "MOST_RECORDS", 3)
    found = read_activity(store)
    assert (found.total, found.is_cut) == (3, True)


def test_bars_stand_on_the_line_and_the_highest_fills_the_chart() -> None:
    found = draw({0: 0, 1: 1, 2: 100_000})
    heights = [bar.height for bar in found.bars]
    assert heights[0] == 0
    assert heights[1] >= 2  # one release can be seen beside many
    assert heights[2] == max(heights)
    assert {bar.y + bar.height for bar in found.bars} == {found.foot}
    assert [bar.is_labelled for bar in found.bars] == [True, False, False]


def test_a_day_without_a_release_is_an_empty_chart() -> None:
    found = draw(dict.fromkeys(range(HOURS), 0))
    assert (found.total, found.most) == (0, 0)
    assert not any(bar.height for bar in found.bars)
