"""Asking a server again while it may yet answer."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from binary_split.config import LIMITS
from binary_split.errors import ArchiveUnreachableError
from binary_split.transports.options import Note
from binary_split.transports.web.http_pool import PassingError

_T = TypeVar("_T")
_MOST_DOUBLINGS = 16
_TOLD_AFTER_S = 3.0


def ask_patiently(
    ask: Callable[[], _T],
    *,
    what: str,
    patience_s: float,
    ended: threading.Event,
    last_byte: Callable[[], float] = lambda: 0.0,
    note: Note | None = None,
) -> _T:
    """Ask until there is an answer; give up when nobody was given a byte for too long.

    Args:
        ask: raises PassingError where it is worth another try.
        what: is asked for, for errors.
        patience_s: how long no byte may come.
        ended: once it is set nothing is waited for any more.
        last_byte: says when a byte came last, in monotonic seconds.
        note: is told once where it takes long: nothing else tells while an archive is not even found.

    Raises:
        ArchiveUnreachableError: it was given up, or nothing is waited for any more.
    """
    started = time.monotonic()
    attempt = 0
    while True:
        if ended.is_set():
            raise ArchiveUnreachableError("the archive is not read any more")
        asked = time.monotonic()
        try:
            return ask()
        except PassingError as error:
            if last_byte() > asked:
                attempt = 0
            if time.monotonic() - max(started, last_byte()) > patience_s:
                raise ArchiveUnreachableError(f"cannot read {what}: {error}") from error
            if note is not None and time.monotonic() - started > _TOLD_AFTER_S:
                note(f"cannot read {what}: {error}; it is asked again, for {patience_s:.0f} s in all")
                note = None
            ended.wait(pause_s(attempt, error, most_s=patience_s))
            attempt += 1


def pause_s(attempt: int, error: PassingError, *, most_s: float = math.inf) -> float:
    """Return how long to wait before a server is asked again, in seconds.

    Args:
        attempt: how often it was asked again before this.
        error: how it failed; a server that names a time is given it, within bounds.
        most_s: of that time.
    """
    backoff_s: float = min(
        LIMITS.backoff_first_s * 2 ** min(attempt, _MOST_DOUBLINGS), LIMITS.http_backoff_cap_s
    )
    backoff_s *= random.uniform(0.5, 1.0)  # noqa: S311 - a fleet must not come all at once
    return max(backoff_s, min(error.retry_after_s, LIMITS.retry_after_cap_s, most_s))
