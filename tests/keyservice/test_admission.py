"""How TLS connections are taken: no more handshakes at once than can end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time

import pytest

from binary_split.service import admission
from binary_split.service.admission import TlsDoor
from binary_split.service.tls import TlsFiles, tls_context


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


async def greeted(port: int, context: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        return await reader.read()
    finally:
        writer.close()


async def through_the_door(tls: TlsFiles, context: ssl.SSLContext, *, most: int, silent: int) -> float:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        door = TlsDoor(listener, Echo, tls_context(tls), most=most)
        mute = [socket.create_connection(("127.0.0.1", port)) for _ in range(silent)]
        await asyncio.sleep(0.1)
        started = time.monotonic()
        async with asyncio.timeout(20):
            assert await asyncio.gather(*(greeted(port, context) for _ in range(8))) == [b"hello"] * 8
        elapsed = time.monotonic() - started
        for stream in mute:
            stream.close()
        door.close()
        await door.wait_closed()
        return elapsed


def test_more_devices_than_handshakes_at_once_are_all_served(tls: TlsFiles, trusting: ssl.SSLContext) -> None:
    assert asyncio.run(through_the_door(tls, trusting, most=2, silent=0)) < 10


def test_whoever_says_nothing_holds_a_place_for_a_short_time_only(
    tls: TlsFiles, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_HANDSHAKE_S", 0.5)
    assert 0.3 < asyncio.run(through_the_door(tls, trusting, most=2, silent=2)) < 10
