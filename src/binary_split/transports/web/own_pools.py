"""Connections to one server, and to whoever else it names."""

from __future__ import annotations

from dataclasses import replace

import urllib3

from binary_split.transports.options import HttpOptions
from binary_split.transports.web.http_pool import make_pool, origin_of
from binary_split.transports.web.open_sockets import OpenSockets


class OwnPools:
    """Shows this machine's certificate to one origin alone; all else is the same for everybody.

    Args:
        url: of that origin.
        options: how servers are reached.
        opened: is told of each socket.

    Attributes:
        own: goes to the origin.

    Raises:
        ConfigError: an option cannot be used.
    """

    def __init__(self, url: str, options: HttpOptions, opened: OpenSockets) -> None:
        self._origin = origin_of(url)
        self._anyone = self.own = make_pool(replace(options, client_certificate=None), opened)
        if options.client_certificate is not None:
            self.own = make_pool(options, opened)

    def of(self, url: str) -> urllib3.PoolManager:
        """Return what a URL is asked by."""
        return self.own if origin_of(url) == self._origin else self._anyone

    def clear(self) -> None:
        """Close the connections that are not in use."""
        self.own.clear()
        self._anyone.clear()
