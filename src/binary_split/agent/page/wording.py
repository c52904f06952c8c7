"""Amounts and times, as people of a language write them."""

from __future__ import annotations

from binary_split.agent.page.catalogue import Catalogue

_MINUTE_S = 60
_HOUR_S = 3600


def write_bytes(say: Catalogue, count: float) -> str:
    """Write a number of bytes in decimal units, with no more digits than anybody reads."""
    units = say("progress.units").split()
    index = 0
    while count >= 999.5 and index < len(units) - 1:
        count /= 1000
        index += 1
    digits = f"{count:.1f}" if index and count < 9.95 else f"{count:.0f}"
    return f"{digits.replace('.', say('progress.comma'))}\u00a0{units[index]}"


def write_amount(say: Catalogue, done: int, total: int) -> str:
    """Write how many bytes of how many."""
    return say("progress.amount", done=write_bytes(say, done), total=write_bytes(say, total))


def write_remaining(say: Catalogue, seconds: float) -> str:
    """Write how long something still takes, rounded up."""
    if seconds < _MINUTE_S:
        return say("progress.seconds_left")
    hours, rest = divmod(seconds, _HOUR_S)
    minutes = -int(-rest // _MINUTE_S)
    if minutes == 60:  # rounded up
        hours, minutes = hours + 1, 0
    if hours < 1:
        return say("progress.minutes_left", minutes=minutes)
    return say("progress.hours_left", hours=int(hours), minutes=minutes)


def percent_of(done: int, total: int) -> int:
    """Return the whole percents that are done; 100 only when all is."""
    return min(100, 100 * done // total) if total > 0 else 0
