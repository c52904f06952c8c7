"""Time as the store keeps it: UTC, in whole seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present, with its time zone."""


def utc_now() -> datetime:
    """Return the present in UTC."""
    return datetime.now(UTC)


def to_seconds(time: datetime) -> int:
    """Return a time as whole seconds since 1970, rounded down."""
    return int(time.timestamp())


def from_seconds(seconds: int) -> datetime:
    """Return the UTC time that ``to_seconds`` stored."""
    return datetime.fromtimestamp(seconds, UTC)


def optional_time(seconds: int | None) -> datetime | None:
    """Return a stored time, None where there is none."""
    return None if seconds is None else from_seconds(seconds)
