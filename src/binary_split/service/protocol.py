"""The HTTP protocol of one connection: uvicorn's, with a time for a request's head and RFC 9457's words."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from binary_split.service.connection import STATE_KEY, Connection, subject_of
from binary_split.service.problems import MEDIA_TYPE


class BoundedProtocol(H11Protocol):
    """Ends a connection whose next request does not come whole in time: else it is held for nothing."""

    head_s = 10.0

    def __init__(self, config: Config, *arguments: Any, **options: Any) -> None:
        super().__init__(config, *arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time of the first head."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, STATE_KEY: _describe(transport)}  # each request has a copy
        self._judge_head()

    def data_received(self, data: bytes) -> None:
        """Take what came; the time of a head runs until it is whole."""
        super().data_received(data)
        self._judge_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time."""
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close."""
        document = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": msg}
        headers = [("Content-Type", MEDIA_TYPE), ("Connection", "close"), ("Cache-Control", "no-store")]
        answer = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (answer, h11.Data(data=json.dumps(document).encode()), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _judge_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._head_timer is None and self.timeout_keep_alive_task is None:
            self._head_timer = self.loop.call_later(self.head_s, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _describe(transport: asyncio.Transport) -> Connection:
    stream = transport.get_extra_info("socket")
    return Connection(
        is_unix=stream is not None and stream.family == socket.AF_UNIX,
        certified=subject_of(transport.get_extra_info("peercert")),
    )
