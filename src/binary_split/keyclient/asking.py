"""Asking the key service until it answers: what may pass by itself is tried again, under one deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from binary_split.config import LIMITS, Limits
from binary_split.errors import KeyServiceError
from binary_split.keyclient.address import Address, parse_address
from binary_split.keyclient.answer import Answer
from binary_split.keyclient.waiting import Deadline, wait_before_retry

if TYPE_CHECKING:
    from binary_split.keyclient.exchange import Request

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A key service, and how it is asked.

    Attributes:
        base_url: the resource API's address; paths are appended to it.
        ca_file: PEM file of the only CA to trust; None trusts the system's.
        insecure_http: allow ``http://`` to other hosts than loopback.
        limits: bounds on sizes (bytes) and waits (seconds).
        sleep: waits that many seconds between tries.
        clock: monotonic seconds.
    """

    base_url: str
    ca_file: Path | None = None
    insecure_http: bool = False
    limits: Limits = LIMITS
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def address(self, path: str) -> Address:
        """Return where a path of the service is.

        Raises:
            KeyServiceUrlError: a token is never sent there.
        """
        return parse_address(self.base_url, path, insecure_http=self.insecure_http)

    def ask(self, request: Request, read: Callable[[Answer], _Result]) -> _Result:
        """Send a request, the same one each time, until ``read`` makes something of its answer.

        What may pass by itself (no connection, a time-out, 429, 5xx, an answer cut short) is tried again, up
        to ``limits.fetch_attempts`` times and within ``limits.fetch_deadline_s`` seconds for everything
        together. Nothing else is: a token that was refused is not offered twice.

        Raises:
            KeyServiceError: one of its subclasses, by cause, or whatever ``read`` raises.
            ConfigError: the CA file cannot be used; nothing was sent.
        """
        from binary_split.keyclient.exchange import ask
        from binary_split.tls import trust

        deadline = Deadline(self.limits.fetch_deadline_s, self.clock)
        context = trust(self.ca_file) if request.address.is_https else None
        attempt = 1
        while True:
            answer: Answer | None = None
            try:
                answer = ask(request, context=context, deadline=deadline, limits=self.limits)
                return read(answer)
            except KeyServiceError as error:
                wait = wait_before_retry(attempt, answer, self.limits)
                is_last = attempt >= self.limits.fetch_attempts or wait >= deadline.remaining()
                if not error.retryable or is_last:
                    raise
            self.sleep(wait)
            attempt += 1
