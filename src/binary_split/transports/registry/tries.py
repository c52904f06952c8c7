"""Asking a registry again, a number of times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from binary_split.config import LIMITS
from binary_split.errors import ArchiveUnreachableError
from binary_split.transports.web.http_pool import PassingError
from binary_split.transports.web.patience import pause_s

_T = TypeVar("_T")


class Tries:
    """Counts how often something failed, and waits before another try.

    Tries are counted, and not the time without a byte as for who reads: a chunk may take longer than that
    on its way up, and nobody sees how far it is.

    Args:
        host: is asked, for errors.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._failures = 0

    def begin_anew(self) -> None:
        """Count from the start: it came further than before."""
        self._failures = 0

    def wait(self, error: PassingError) -> None:
        """Wait before another try.

        Raises:
            ArchiveUnreachableError: there were enough.
        """
        self._failures += 1
        if self._failures >= LIMITS.push_attempts:
            raise ArchiveUnreachableError(
                f"cannot reach {self._host}: {error}",
                hint="Check the address and the network, and push again.",
            ) from error
        time.sleep(pause_s(self._failures, error))


def patiently(host: str, call: Callable[[], _T]) -> _T:
    """Make a call that may be made twice, again where the registry does not answer.

    Raises:
        ArchiveUnreachableError: it does not answer any more.
    """
    tries = Tries(host)
    while True:
        try:
            return call()
        except PassingError as error:
            tries.wait(error)
