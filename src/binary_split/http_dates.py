"""Moments and pauses as the headers of an HTTP answer say them (RFC 9110, sections 5.6.7 and 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SECONDS = re.compile(r"[0-9]{1,9}")
_MORE_SECONDS = re.compile(r"[0-9]{10,}")


def parse_retry_after(value: str, *, date: str = "") -> float:
    """Return the seconds that a ``Retry-After`` asks for; 0 where it makes no sense or lies in the past.

    Args:
        value: the header: seconds or an HTTP date.
        date: the same answer's ``Date``, which a date is measured from: the service's clock agrees with
            itself, while this machine's may be years off.
    """
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    if _MORE_SECONDS.fullmatch(value):
        return float("inf")
    until = parse_http_date(value)
    if until is None:
        return 0.0
    now = parse_http_date(date) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def parse_http_date(text: str) -> datetime | None:
    """Return the moment that an HTTP date (RFC 9110, section 5.6.7) says, None where it is none."""
    from email.utils import parsedate_to_datetime  # imports the socket module

    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # malformed dates of every kind
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
