"""Ten thousand devices ask at once while the key service starts, each until it has its fragment."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field

from scripts.bench.fleet import CLIENT_CORE, Fleet, serving

_PATIENCE_S = 300.0
_TRY_S = 60.0
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 15.0
_HEAD_START_S = 1.0


@dataclass
class Storm:
    """What became of the devices; times in seconds since the first of them asked."""

    served: list[float] = field(default_factory=list)
    lost: int = 0
    again: Counter[str] = field(default_factory=Counter)
    peak_mib: float = 0.0


def storm(fleet: Fleet, port: int) -> Storm:
    """Let all devices of the fleet ask for a service that is only then started; return what they got."""
    result = Storm()
    tokens = fleet.plain.read_text().split()
    asyncio.run(_storm(fleet, tokens, port, result))
    return result


async def _storm(fleet: Fleet, tokens: list[str], port: int, result: Storm) -> None:
    os.sched_setaffinity(0, {CLIENT_CORE})
    context = ssl.create_default_context(cafile=str(fleet.folder / "cert.pem"))
    started = time.monotonic()
    devices = [asyncio.create_task(_device(port, token, context, started, result)) for token in tokens]
    await asyncio.sleep(_HEAD_START_S)
    loop = asyncio.get_running_loop()
    service = serving(fleet, port=port)
    running = await loop.run_in_executor(None, service.__enter__)
    try:
        while not all(device.done() for device in devices):
            result.peak_mib = max(result.peak_mib, running.rss_mib())
            await asyncio.sleep(0.5)
    finally:
        await loop.run_in_executor(None, service.__exit__, None, None, None)


async def _device(port: int, token: str, context: ssl.SSLContext, started: float, result: Storm) -> None:
    wait_s = _FIRST_WAIT_S
    while time.monotonic() - started < _PATIENCE_S:
        try:
            async with asyncio.timeout(_TRY_S):
                status = await _ask(port, token, context)
        except TimeoutError:
            status = "timeout"
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError) as error:
            status = type(error).__name__
        if status == "200":
            result.served.append(time.monotonic() - started)
            return
        result.again[status] += 1
        await asyncio.sleep(random.uniform(0.5, 1.0) * wait_s)
        wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
    result.lost += 1


async def _ask(port: int, token: str, context: ssl.SSLContext) -> str:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, ssl_handshake_timeout=_TRY_S
    )
    try:
        head = f"GET /binary-split/key-fragment HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        return answer.split(b" ", 2)[1].decode()
    finally:
        writer.transport.abort()
