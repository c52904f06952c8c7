"""Fetch a fragment from the key service: one GET, retried, under one deadline.

Importing this costs next to nothing: the HTTP and TLS libraries are imported by the first fetch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from binary_split.config import LIMITS, Limits
from binary_split.errors import KeyServiceError
from binary_split.keyclient.address import parse_address
from binary_split.keyclient.answer import Answer, read_fragment
from binary_split.keyclient.token import BearerToken
from binary_split.keyclient.waiting import Deadline, wait_before_retry
from binary_split.model import Fragment

__all__ = ["fetch_fragment"]


def fetch_fragment(
    base_url: str,
    token: str,
    *,
    key_id: str | None = None,
    ca_file: Path | None = None,
    insecure_http: bool = False,
    limits: Limits = LIMITS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Fragment:
    """Fetch the fragment that the token's owner is entitled to, byte by byte as the key service sent it.

    What may pass by itself (no connection, a time-out, 429, 5xx, an answer cut short) is tried again, up to
    ``limits.fetch_attempts`` times and within ``limits.fetch_deadline_s`` seconds for everything together.
    Nothing else is: a token that was refused is not offered twice.

    Args:
        base_url: the resource API's address; ``/binary-split/key-fragment`` is appended to its path.
        token: sent as ``Authorization: Bearer`` (RFC 6750, section 2.1) to that origin and to no other.
        key_id: which fragment; None leaves the choice to the key service.
        ca_file: PEM file of the only CA to trust; None trusts the system's.
        insecure_http: allow ``http://`` to other hosts than loopback.
        limits: bounds on sizes (bytes) and waits (seconds).
        sleep: waits that many seconds between tries.
        clock: monotonic seconds.

    Raises:
        KeyServiceError: one of its subclasses, by cause.
        SecretFileError: the token is not one; nothing was sent.
        ConfigError: the CA file cannot be used; nothing was sent.
    """
    bearer = BearerToken.parse(token, max_bytes=limits.token_bytes)
    del token  # a report that shows the variables of each frame shows the masked one
    address = parse_address(base_url, key_id=key_id, insecure_http=insecure_http)
    deadline = Deadline(limits.fetch_deadline_s, clock)

    from binary_split.keyclient.exchange import ask, trust

    context = trust(ca_file) if address.is_https else None
    attempt = 1
    while True:
        answer: Answer | None = None
        try:
            answer = ask(address, bearer, context=context, deadline=deadline, limits=limits)
            return read_fragment(answer, bearer, max_bytes=limits.fragment_bytes)
        except KeyServiceError as error:
            wait = wait_before_retry(attempt, answer, limits)
            if not error.retryable or attempt >= limits.fetch_attempts or wait >= deadline.remaining():
                raise
        sleep(wait)
        attempt += 1
