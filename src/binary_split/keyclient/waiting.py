"""How long to wait: the deadline of a fetch, and the pause between two tries."""

from __future__ import annotations

import random
from collections.abc import Callable

from binary_split.config import Limits
from binary_split.http_dates import parse_retry_after
from binary_split.keyclient.answer import Answer

_ASKS_FOR_TIME = {429, 503}


class Deadline:
    """A moment after which nothing is waited for any more.

    Args:
        seconds: how far away it is, from now on.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Return the seconds left, negative once it has passed."""
        return self._end - self._clock()

    def bound(self, seconds: float) -> float:
        """Return ``seconds``, or what is left where that is less.

        Raises:
            TimeoutError: nothing is left.
        """
        remaining = self.remaining()
        if remaining <= 0:
            raise TimeoutError("the deadline has passed")
        return min(seconds, remaining)


def wait_before_retry(attempt: int, answer: Answer | None, limits: Limits) -> float:
    """Return the seconds to wait after the failed try number ``attempt``.

    Doubles each time, less up to a half at random, so that devices that lost the service together do not
    come back together. A ``Retry-After`` (RFC 9110, section 10.2.3) on 429 or 503 is obeyed where it asks for
    more than that, up to ``limits.retry_after_cap_s``.
    """
    backoff: float = limits.backoff_first_s * 2 ** (attempt - 1)
    backoff *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
    if answer is None or answer.status not in _ASKS_FOR_TIME:
        return backoff
    asked = parse_retry_after(answer.header("Retry-After"), date=answer.header("Date"))
    return max(backoff, min(asked, limits.retry_after_cap_s))
