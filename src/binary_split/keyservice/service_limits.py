"""What one process of the service gives to whom, in one place."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from binary_split.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """The bounds of one process; a rate of 0 sets none.

    Attributes:
        token_rate: requests for fragments a minute with one token, which a fleet may share.
        device_rate: requests for fragments a minute by one device.
        failure_rate: failed authentications a minute that one address is told of; then it is told to wait.
        trusted_proxies: addresses and networks whose ``X-Forwarded-For`` is believed.
        body_bytes: the longest body of a request.
        head_s: the longest that a request's head may take, in seconds.
        answer_s: the longest that a request may take until its answer begins, in seconds.
        threads: how many requests other than releases are worked on at once.
    """

    token_rate: int = 600
    device_rate: int = 60
    failure_rate: int = 60
    trusted_proxies: tuple[str, ...] = ()
    body_bytes: int = 256 * 1024
    head_s: float = 10.0
    answer_s: float = 30.0
    threads: int = 8  # fewer than the pool has connections: releases always get one

    def __post_init__(self) -> None:
        """Refuse a proxy that is no address: the server would take it for a name that nobody has."""
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ConfigError(
                    f"not an address or network: {proxy[:50]!r}", hint="Write 10.0.0.1 or 10.0.0.0/24."
                ) from None
