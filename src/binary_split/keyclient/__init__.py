"""Ask the key service: for a fragment, plain or sealed to this device's key, and to enrol this device.

Importing this costs next to nothing: the HTTP and TLS libraries are imported by the first request.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from binary_split.config import LIMITS, Limits
from binary_split.keyclient.address import fragment_path
from binary_split.keyclient.answer import read_fragment
from binary_split.keyclient.asking import Service
from binary_split.keyclient.enrolling import Enrolment, enrol
from binary_split.keyclient.sealed import fetch_sealed_fragment
from binary_split.keyclient.token import BearerToken
from binary_split.model import Fragment

__all__ = ["Enrolment", "Service", "enrol", "fetch_fragment", "fetch_sealed_fragment"]


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

    What may pass by itself is tried again, as ``Service.ask`` says.

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
    service = Service(
        base_url=base_url,
        ca_file=ca_file,
        insecure_http=insecure_http,
        limits=limits,
        sleep=sleep,
        clock=clock,
    )
    address = service.address(fragment_path(key_id))

    from binary_split.keyclient.exchange import Request

    request = Request(address, bearer, limits.fragment_bytes)
    return service.ask(request, lambda answer: read_fragment(answer, bearer, max_bytes=limits.fragment_bytes))
