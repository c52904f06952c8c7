"""How often something may happen for each of many: a token, a device, an address.

The generic cell rate algorithm: one time for each key says when its next event would be on schedule, and a
minute's worth may come ahead of it. Memory is bounded whatever keys come: the longest unseen is forgotten.
Why this is not a library's: docs/adr/0056-rate-limits-of-our-own.md.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

MOST_KEYS = 65_536
_WINDOW_S = 60.0
_SITE_PREFIX = 64
_FORGOTTEN_AT_ONCE = 2


class Pace:
    """Lets each key have so many events a minute, all at once or one by one; safe between threads.

    Args:
        per_minute: 0 sets no bound.
        most_keys: how many are remembered.
        clock: seconds that never go back.
    """

    def __init__(
        self, per_minute: int, *, most_keys: int = MOST_KEYS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval_s = _WINDOW_S / per_minute if per_minute else 0.0
        self._most_keys = most_keys
        self._clock = clock
        self._lock = threading.Lock()
        # The longest unseen first. A dict would look for its first entry past all that were removed.
        self._due: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._due)

    def take(self, key: str) -> float:
        """Count an event and return 0.0, or the seconds to wait for one that comes too soon to be counted."""
        if not self._interval_s:
            return 0.0
        now = self._clock()
        with self._lock:
            due = max(self._due.get(key, now), now)
            wait_s = due - now - (_WINDOW_S - self._interval_s)
            if wait_s > 0:
                return wait_s
            self._due[key] = due + self._interval_s
            self._due.move_to_end(key)
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Drop what is on schedule again: two for each one that comes, so that the rest is soon gone too."""
        for _ in range(_FORGOTTEN_AT_ONCE):
            oldest = next(iter(self._due))
            if self._due[oldest] > now and len(self._due) <= self._most_keys:
                return
            del self._due[oldest]


@lru_cache(maxsize=4096)
def parse_source(host: str) -> str:
    """Return whom to count an address for: an IPv4 address, or the /64 network of an IPv6 one.

    What is no address is ``-``: a proxy may hand on anything.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "-"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _SITE_PREFIX), strict=False))
