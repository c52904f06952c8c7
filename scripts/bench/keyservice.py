"""How many fragments the key service releases, each with its audit record on the disk before it leaves.

The service has one core, and TLS with kept-alive connections; wrk and PostgreSQL share the other core.
Beside each figure stand the same server's ``/healthz``, which touches no database, and what the disk does.

Usage: ``python -m scripts.bench.keyservice [--seconds N] [--storm N]``
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

from bed.postgres import PrivatePostgres
from bed.unavailable import Unavailable
from scripts.bench.fleet import KEY_ID, Fleet, Load, count_releases, load, make_fleet, serving
from scripts.bench.measuring import describe_machine
from scripts.bench.storm import storm

_DEVICES = 1000
_SYNC_S = 2.0
_WARM_UP_S = 2


def main() -> int:
    """Measure on SQLite and on PostgreSQL."""
    parser = argparse.ArgumentParser(description="Releases a second, with their audit records.")
    parser.add_argument("--seconds", type=int, default=15, help="length of each measurement (default: 15)")
    parser.add_argument("--storm", type=int, default=10_000, help="devices in the storm (default: 10000)")
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory(prefix="binary-split-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        bench(make_fleet(folder / "sqlite", devices=_DEVICES, database=None), "SQLite", options.seconds)
        bench_storm(make_fleet(folder / "storm", devices=options.storm, database=None))
        try:
            with PrivatePostgres() as server:
                fleet = make_fleet(folder / "postgres", devices=_DEVICES, database=server)
                bench(fleet, "PostgreSQL", options.seconds)
        except Unavailable as missing:
            print(f"\nnot measured: {missing}")
    return 0


def bench(fleet: Fleet, database: str, seconds: int) -> None:
    """Measure one service and print its figures."""
    print(f"\n{database}: the disk syncs {syncs_per_second(fleet.folder):.0f} times/s")
    print(f"  {'':<34}{'per s':>8}{'per cpu-s':>11}{'p50 ms':>8}{'p99 ms':>8}{'refused':>9}{'broken':>8}")
    before = count_releases(fleet)
    with serving(fleet) as service:
        load(service, "/binary-split/key-fragment", tokens=fleet.plain, seconds=_WARM_UP_S)
        show("/healthz, the ceiling", load(service, "/healthz", seconds=seconds))
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


def bench_storm(fleet: Fleet) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
