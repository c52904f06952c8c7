"""Whether this machine's clock is right, by whatever else tells the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from binary_split.config import LIMITS
from binary_split.doctor.certificate import describe_certificate, is_of_today
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, SkippedError, bad, doubtful, good
from binary_split.errors import BinarySplitError
from binary_split.http_dates import parse_http_date
from binary_split.unlock.opening import read_beside

_CURE = "Set the clock, such as with `timedatectl set-ntp true`; after a power loss it may be years behind."
_NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is right was before this when the program was written."""


def check_clock(facts: Facts) -> Judgement:
    """Judge the clock by the key service's, and by what cannot have been made in the future."""
    now = datetime.now(UTC)
    for moment, what in _past_moments(facts):
        if now + timedelta(seconds=LIMITS.doctor_clock_s) < moment:
            return bad(f"the clock says {_show(now)}, before {what} ({_show(moment)})", _CURE)
    ahead_s = _compare(facts)
    if ahead_s is None and (words := _describe_refused(facts)):
        return doubtful(f"the clock says {_show(now)}, and the key service's certificate is {words}", _CURE)
    if ahead_s is None:
        raise SkippedError(f"nothing tells the time to compare with; the clock says {_show(now)}")
    return judge_difference(ahead_s)


def judge_difference(seconds: float) -> Judgement:
    """Judge by how many seconds the clock is ahead of the key service's; its Date has whole ones."""
    tolerance = f"{LIMITS.doctor_clock_s:.0f} s are tolerated"
    away = abs(seconds)
    if away <= LIMITS.doctor_clock_s:
        return good(f"within {max(1, round(away))} s of the key service's; {tolerance}")
    words = f"{_phrase(away)} {'ahead of' if seconds > 0 else 'behind'} the key service's; {tolerance}"
    return doubtful(words, _CURE) if away < LIMITS.doctor_clock_wrong_s else bad(words, _CURE)


def _past_moments(facts: Facts) -> Iterator[tuple[datetime, str]]:
    """Give what lies in the past, whatever the clock says."""
    yield _NOT_BEFORE, "this program was written"
    with suppress(BinarySplitError, SkippedError):
        for release in facts.journal().read_releases():
            with suppress(ValueError):
                installed = datetime.fromisoformat(release.installed)
                yield installed.replace(tzinfo=installed.tzinfo or UTC), "a release that is installed was"
    with suppress(BinarySplitError, SkippedError):
        yield _created(facts), "the archive was made"


def _created(facts: Facts) -> datetime:
    """Return when the archive was made, as a verified statement says it."""
    beside = read_beside(facts.archive(), facts.subject.version, facts.trust())
    return (beside or facts.release()).statement.created


def _compare(facts: Facts) -> float | None:
    """Return by how many seconds the clock is ahead of the key service's; None where that does not tell."""
    try:
        heard = facts.way.readiness()
    except (BinarySplitError, SkippedError):
        return None
    theirs = parse_http_date(heard.answer.header("Date"))
    return None if theirs is None else (heard.at - theirs).total_seconds()


def _describe_refused(facts: Facts) -> str:
    """Return the certificate that was refused, if it is not valid by this clock; anybody may have made it."""
    try:
        shown = facts.way.refused()
    except (BinarySplitError, SkippedError):
        return ""
    return "" if is_of_today(shown) else describe_certificate(shown)


def _phrase(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _show(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
