"""Asking a server again while it may yet answer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from binary_split.config import LIMITS
from binary_split.errors import ArchiveUnreachableError
from binary_split.transports.http_pool import PassingError
from binary_split.transports.options import Note

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
            pause_s = min(LIMITS.backoff_first_s * 2**attempt, LIMITS.http_backoff_cap_s)
            pause_s *= random.uniform(0.5, 1.0)  # noqa: S311 - a fleet must not come all at once
            ended.wait(max(pause_s, min(error.retry_after_s, LIMITS.retry_after_cap_s, patience_s)))
            attempt = min(attempt + 1, _MOST_DOUBLINGS)
