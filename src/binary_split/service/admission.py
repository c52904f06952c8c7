"""TLS connections are taken as fast as their handshakes get done, and no faster.

A fleet that comes back all at once would else begin ten thousand handshakes, of which none ends in its time.
Those that wait are kept by the kernel, and by the devices' own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

MOST_HANDSHAKES = 512
_HANDSHAKE_S = 5.0
_GOODBYE_S = 1.0  # an idle client would hold up a stop for 30 s
_PAUSE_S = 0.1

Factory = Callable[[], asyncio.Protocol]


class TlsDoor:
    """Takes connections of a listening socket until it is closed; for uvicorn it is the server."""

    def __init__(
        self,
        listener: socket.socket,
        factory: Factory,
        context: ssl.SSLContext,
        *,
        most: int = MOST_HANDSHAKES,
    ) -> None:
        listener.settimeout(0)
        self._listener = listener
        self._factory = factory
        self._context = context
        self._free = asyncio.Semaphore(most)
        self._handshakes: set[asyncio.Task[None]] = set()
        self._taking = asyncio.create_task(self._take())

    def close(self) -> None:
        """Take no more."""
        self._taking.cancel()

    async def wait_closed(self) -> None:
        """Wait until none is taken any more, and end the handshakes under way."""
        for task in self._handshakes:
            task.cancel()
        await asyncio.gather(self._taking, *self._handshakes, return_exceptions=True)

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                stream, _ = await loop.sock_accept(self._listener)
            except OSError:  # of one connection, or no descriptor is free: then it is of no use to hurry
                self._free.release()
                await asyncio.sleep(_PAUSE_S)
                continue
            task = loop.create_task(self._greet(stream))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _greet(self, stream: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            with suppress(OSError, TimeoutError):  # an SSLError is an OSError
                await loop.connect_accepted_socket(
                    self._factory,
                    stream,
                    ssl=self._context,
                    ssl_handshake_timeout=_HANDSHAKE_S,
                    ssl_shutdown_timeout=_GOODBYE_S,
                )
        finally:
            self._free.release()
