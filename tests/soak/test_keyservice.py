"""Minutes of devices, attackers and a database that dies: memory stays flat, and only 503 is unexpected."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bed.postgres import PrivatePostgres
from bed.unavailable import Unavailable
from binary_split.keyservice.state import open_state
from scripts.bench.fleet import Fleet, Running, count_releases, make_fleet, serving
from tests.reporting.soaking import ROUNDS

MINUTES = float(os.environ.get("BINARY_SPLIT_SOAK_MINUTES", "3"))
pytestmark = [pytest.mark.soak(minutes=MINUTES + 0.5), pytest.mark.slow]

DEVICES = 200
GOOD_CONNECTIONS = 8
BAD_CONNECTIONS = 8
WARM_UP = 0.25
DEAD_S = 3.0
MOST_GROWTH_MIB = 24.0
PATH = "/binary-split/key-fragment"


@dataclass
class Course:
    """What the clients saw, and the memory that the service had."""

    good: Counter[int] = field(default_factory=Counter)
    bad: Counter[int] = field(default_factory=Counter)
    is_database_down: bool = False
    unexpected: list[str] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)


@pytest.mark.fault(52, 59)
def test_memory_stays_flat_and_nothing_but_503_happens_while_postgres_is_killed_and_attackers_guess(
    tmp_path: Path,
    could_not_run: Callable[[Unavailable], None],
    record_property: Callable[[str, object], None],
) -> None:
    try:
        database = PrivatePostgres()
        database.start()
    except Unavailable as missing:
        could_not_run(missing)
    try:
        fleet = make_fleet(tmp_path / "fleet", devices=DEVICES, database=database)
        with serving(fleet, "--device-rate", "0") as service:
            course = asyncio.run(_soak(fleet, service, database))
        recorded = count_releases(fleet)
        store = open_state(fleet.state)
        store.audit.verify()
        store.close()
    finally:
        database.stop()
    record_property(ROUNDS, f"{course.good.total() + course.bad.total()}")
    assert course.unexpected == []
    assert set(course.good) <= {200, 503}
    assert set(course.bad) <= {401, 429, 503}
    assert course.bad[429] > course.bad[401], "the attackers were told to wait"
    assert recorded >= course.good[200] > 0, "no fragment without its record"
    settled = course.memory_mib[int(len(course.memory_mib) * WARM_UP)]
    assert course.memory_mib[-1] - settled < MOST_GROWTH_MIB, course.memory_mib


async def _soak(fleet: Fleet, service: Running, database: PrivatePostgres) -> Course:
    course = Course()
    end = time.monotonic() + MINUTES * 60
    context = ssl.create_default_context(cafile=str(fleet.folder / "cert.pem"))
    port = int(service.url.rpartition(":")[2])
    tokens = fleet.plain.read_text().split()
    clients = [
        _client(port, context, tokens[number::GOOD_CONNECTIONS], end, course.good, course)
        for number in range(GOOD_CONNECTIONS)
    ]
    clients += [
        _client(port, context, [f"bsk_{number}"], end, course.bad, course)
        for number in range(BAD_CONNECTIONS)
    ]
    await asyncio.gather(*clients, _watch(service, end, course), _kill_once(database, course))
    return course


async def _client(
    port: int, context: ssl.SSLContext, tokens: list[str], end: float, seen: Counter[int], course: Course
) -> None:
    """Ask over kept-alive connections until the end; a guesser's token is a new one each time."""
    turn = 0
    while time.monotonic() < end:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        try:
            for _ in range(500):
                turn += 1
                token = tokens[turn % len(tokens)] + (f"x{turn}" if len(tokens) == 1 else "")
                status = await _ask(reader, writer, token)
                seen[status] += 1
                if status >= 500 and not (status == 503 and course.is_database_down):
                    course.unexpected.append(f"{status} for {tokens[0][:5]}")
                await asyncio.sleep(0.005)
                if time.monotonic() > end:
                    break
        finally:
            writer.transport.abort()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> int:
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))
    return int(head.split(b" ", 2)[1])


async def _watch(service: Running, end: float, course: Course) -> None:
    while time.monotonic() < end:
        course.memory_mib.append(service.rss_mib())
        await asyncio.sleep(1)


async def _kill_once(database: PrivatePostgres, course: Course) -> None:
    await asyncio.sleep(MINUTES * 30)
    course.is_database_down = True
    await asyncio.to_thread(database.crash)
    await asyncio.sleep(DEAD_S)
    await asyncio.to_thread(database.start)
    await asyncio.sleep(5)  # connections that died with it are found and replaced
    course.is_database_down = False
