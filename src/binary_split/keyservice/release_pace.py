"""How often fragments may be asked for."""

from __future__ import annotations

import math

from binary_split.errors import RateLimitedError
from binary_split.service.pace import Pace


class ReleasePace:
    """How often a token and its device may ask for fragments."""

    def __init__(self, *, per_token: Pace, per_device: Pace) -> None:
        self._tokens = per_token
        self._devices = per_device

    def verify(self, token_id: str, device_id: str | None) -> None:
        """Count one request of a token that is known.

        Raises:
            RateLimitedError: it comes too soon; ``retry_after_s`` says how much.
        """
        wait_s = self._tokens.take(token_id)
        if not wait_s and device_id is not None:
            wait_s = self._devices.take(device_id)
        if wait_s:
            error = RateLimitedError("asked too often")
            error.retry_after_s = math.ceil(wait_s)
            raise error
