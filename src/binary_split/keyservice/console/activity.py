"""The releases of the last day, by the hour, and their chart."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from binary_split.keyservice.clock import from_seconds, to_seconds
from binary_split.keyservice.database import reading
from binary_split.keyservice.ledger import read_head
from binary_split.keyservice.schema import AUDIT
from binary_split.keyservice.store import Store

HOURS = 24
MOST_RECORDS = 50_000
"""How far back the audit is read: a page must not cost more the older the service is."""
_HOUR_S = 3600
_KINDS = ("release", "release-offline")

_WIDTH, _HEIGHT, _FOOT = 720, 150, 22
_BAR, _GAP = 24, 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour in the chart, in the chart's units."""

    x: int
    y: int
    width: int
    height: int
    count: int
    hour: str
    is_labelled: bool


@dataclass(frozen=True, slots=True)
class Activity:
    """What the chart shows."""

    bars: tuple[Bar, ...]
    total: int
    most: int
    is_cut: bool
    width: int = _WIDTH
    height: int = _HEIGHT
    foot: int = _HEIGHT - _FOOT


def read_activity(store: Store) -> Activity:
    """Count the releases of the last 24 hours; the last bar is the present hour."""
    last = to_seconds(store.clock()) // _HOUR_S
    first = last - HOURS + 1
    hour = (AUDIT.c.at // _HOUR_S).label("hour")
    with reading(store.engine) as connection:
        start = max(0, read_head(connection).seq - MOST_RECORDS)
        query = (
            select(hour, func.count())
            .where(AUDIT.c.seq > start, AUDIT.c.at >= first * _HOUR_S, AUDIT.c.kind.in_(_KINDS))
            .group_by(hour)
        )
        counts = {int(row[0]): int(row[1]) for row in connection.execute(query)}
        oldest = connection.scalar(select(AUDIT.c.at).where(AUDIT.c.seq == start + 1)) if start else None
    return draw(
        {at: counts.get(at, 0) for at in range(first, last + 1)}, is_cut=(oldest or 0) > first * _HOUR_S
    )


def draw(counts: dict[int, int], *, is_cut: bool = False) -> Activity:
    """Place the bars of a chart; the keys are hours since 1970."""
    most = max(counts.values(), default=0)
    room = _HEIGHT - _FOOT - 8
    bars = []
    for index, (at, count) in enumerate(sorted(counts.items())):
        height = 0 if not count else max(2, round(room * count / most))
        time = from_seconds(at * _HOUR_S)
        bars.append(
            Bar(
                x=index * (_BAR + _GAP) + _GAP // 2,
                y=_HEIGHT - _FOOT - height,
                width=_BAR,
                height=height,
                count=count,
                hour=f"{time:%H}:00",
                is_labelled=time.hour % 6 == 0,
            )
        )
    return Activity(tuple(bars), sum(counts.values()), most, is_cut)
