"""How many fragments the key service releases, each with its audit record on the disk before it leaves.

The service has one core, and TLS with kept-alive connections; wrk and PostgreSQL share the other core.
Beside each figure stand the same server's ``/healthz``, which touches no database, and what the disk does.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from bed.postgres import PrivatePostgres
from bed.unavailable import Unavailable
from scripts.bench.figures import Figure, Results
from scripts.bench.fleet import KEY_ID, Fleet, Load, count_releases, load, make_fleet, serving
from scripts.bench.storm import storm

_DEVICES = 1000
_SYNC_S = 2.0
_WARM_UP_S = 2


def bench_keyservice(folder: Path, *, seconds: int, devices: int) -> Results:
    """Measure on SQLite and on PostgreSQL, for so many seconds each, and let so many devices ask at once."""
    figures = _bench(make_fleet(folder / "sqlite", devices=_DEVICES, database=None), "SQLite", seconds)
    figures += _bench_storm(make_fleet(folder / "storm", devices=devices, database=None))
    missing = []
    try:
        with PrivatePostgres() as server:
            fleet = make_fleet(folder / "postgres", devices=_DEVICES, database=server)
            figures += _bench(fleet, "PostgreSQL", seconds)
    except Unavailable as unavailable:
        missing.append(str(unavailable))
    return Results("one core, TLS, each release recorded before it leaves", figures, missing=missing)


def _bench(fleet: Fleet, database: str, seconds: int) -> list[Figure]:
    """Measure one service and print its figures."""
    print(f"\n{database}: the disk syncs {syncs_per_second(fleet.folder):.0f} times/s")
    print(f"  {'':<34}{'per s':>8}{'per cpu-s':>11}{'p50 ms':>8}{'p99 ms':>8}{'refused':>9}{'broken':>8}")
    before = count_releases(fleet)
    with serving(fleet) as service:
        load(service, "/binary-split/key-fragment", tokens=fleet.plain, seconds=_WARM_UP_S)
        ceiling = load(service, "/healthz", seconds=seconds)
        show("/healthz, the ceiling", ceiling)
        plain = load(service, "/binary-split/key-fragment", tokens=fleet.plain, seconds=seconds)
        show("plain release", plain)
        sealed_path = f"/v1/keys/{KEY_ID}/release"
        sealed = load(service, sealed_path, tokens=fleet.sealed, is_sealed=True, seconds=seconds)
        show("HPKE release", sealed)
    recorded = count_releases(fleet) - before
    answered = plain.requests - plain.refused + sealed.requests - sealed.refused
    print(f"  {recorded} releases recorded, {answered} counted by wrk without its warm-up")
    if recorded < answered:
        raise SystemExit("a fragment left without its record")
    return [
        Figure.of(f"{database}: releases", [plain.rate], unit="/s", at_least=500),
        Figure.of(f"{database}: 99 % of them within", [plain.p99_ms], unit="ms", at_most=50),
        Figure.of(f"{database}: sealed to a device (HPKE)", [sealed.rate], unit="/s"),
        Figure.of(f"{database}: `/healthz`, the ceiling", [ceiling.rate], unit="/s"),
    ]


def _bench_storm(fleet: Fleet) -> list[Figure]:
    """Let every device ask at once while the service starts; none may be lost."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = storm(fleet, port)
    times = sorted(result.served)
    print(f"\nstorm: {len(times)} of {len(times) + result.lost} devices served in {times[-1]:.1f} s", end="")
    print(f", half of them in {times[len(times) // 2]:.1f} s; service's peak {result.peak_mib:.0f} MiB")
    print(f"  asked again: {dict(result.again)}; {count_releases(fleet)} releases recorded", flush=True)
    if result.lost:
        raise SystemExit(f"{result.lost} devices were lost")
    return [
        Figure.of(f"storm: devices lost, of {len(times)}", [result.lost], unit="", at_most=0),
        Figure.of("storm: the last one served after", [times[-1]], unit="s"),
    ]


def show(name: str, result: Load) -> None:
    """Print one row."""
    times = f"{result.p50_ms:>8.1f}{result.p99_ms:>8.1f}"
    rates = f"{result.rate:>8.0f}{result.per_core:>11.0f}"
    print(f"  {name:<34}{rates}{times}{result.refused:>9}{result.broken:>8}", flush=True)


def syncs_per_second(folder: Path) -> float:
    """Return how often a second the disk brings 4 KiB more to rest, one after the other."""
    path = folder / "syncs"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    block = bytes(4096)
    count = 0
    started = time.perf_counter()
    while time.perf_counter() - started < _SYNC_S:
        os.write(descriptor, block)
        os.fdatasync(descriptor)
        count += 1
    elapsed = time.perf_counter() - started
    os.close(descriptor)
    path.unlink()
    return count / elapsed
