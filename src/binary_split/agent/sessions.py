"""Who is signed in at the page: in memory alone, so a session ends with the agent at the latest."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

LIFETIME_S = 3600
MOST_SESSIONS = 64
_SECRET_BYTES = 32


def generate_secret() -> str:
    """Return a secret for a cookie."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def hash_secret(text: str) -> bytes:
    """Return what is kept of a secret that is random by itself: 32 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


class Sessions:
    """Begins, finds and ends sessions; safe between threads. What is kept of each is a hash and its end.

    Args:
        most: how many there are at a time; the oldest ends for one more.
        clock: seconds that never go back.
    """

    def __init__(self, *, most: int = MOST_SESSIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def begin(self) -> str:
        """Return the secret of a new session, for a cookie."""
        secret = generate_secret()
        with self._lock:
            self._forget()
            while len(self._ends) >= self._most:
                self._ends.popitem(last=False)
            self._ends[hash_secret(secret)] = self._clock() + LIFETIME_S
        return secret

    def is_live(self, secret: str) -> bool:
        """Tell whether a session has begun and not ended."""
        with self._lock:
            self._forget()
            return hash_secret(secret) in self._ends

    def end(self, secret: str) -> None:
        """End a session; one that has ended stays so."""
        with self._lock:
            self._ends.pop(hash_secret(secret), None)

    def _forget(self) -> None:
        now = self._clock()
        while self._ends and next(iter(self._ends.values())) <= now:
            self._ends.popitem(last=False)
