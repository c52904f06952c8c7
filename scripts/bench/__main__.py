"""Speed against peers, in one run on one machine: ratios of medians, never a verdict.

A speed above 1.00 is faster than the peer, which is the first row. Each round runs every way once. Disk to
disk and into an engine, a way's input is dropped from the page cache before, and its output brought to disk
within the time, so that all ways do the same work; where a table says "from memory", the input is in the page
cache. The times are those of whole processes, their start included.

Usage: ``python -m scripts.bench [--mib N] [--rounds N] [--only JOB] [--unlock-mib N] [--unlock-rounds N]``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bed.dockerd import PrivateDockerd
from bed.unavailable import Unavailable
from binary_split.config import MIB
from scripts.bench.age import AgeBench, bench_age
from scripts.bench.loading import Bench, bench_engine, bench_streams
from scripts.bench.measuring import describe_machine
from scripts.bench.unlocking import ENGINES, bench_unlock


def main() -> int:
    """Run the jobs and print their tables."""
    parser = argparse.ArgumentParser(description="Speed against peers: ratios, never a verdict.")
    parser.add_argument("--mib", type=int, default=1024, help="size of the release (default: 1024)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each job (default: 5)")
    parser.add_argument("--only", choices=["codecs", "unlock"], help="measure this alone")
    parser.add_argument("--unlock-mib", type=int, default=2048, help="size of the bundle (default: 2048)")
    parser.add_argument("--unlock-rounds", type=int, default=3, help="rounds of unlocking (default: 3)")
    parser.add_argument("--unlock-large", action="store_true", help="measure memory with 8 GiB too")
    parser.add_argument("--engine", choices=list(ENGINES), default="docker", help="that unlocks load into")
    options = parser.parse_args()
    print(describe_machine())
    if options.only != "unlock":
        print(f"{options.mib} MiB, medians of {options.rounds} rounds")
        with _folder() as folder:
            _bench_codecs(folder, options.mib * MIB, options.rounds)
    if options.only != "codecs":
        with _folder() as folder:
            bench_unlock(
                folder,
                mib=options.unlock_mib,
                rounds=options.unlock_rounds,
                engine=options.engine,
                is_large=options.unlock_large,
            )
    return 0


def _bench_codecs(folder: Path, size: int, rounds: int) -> None:
    bench = Bench(folder, size)
    bench_streams(bench, rounds)
    bench_age(AgeBench(folder, bench.plain), rounds)
    try:
        with PrivateDockerd() as engine:
            bench_engine(bench, engine, rounds)
    except Unavailable as missing:
        print(f"\nnot measured: {missing}")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(
        prefix="bs-bench-", dir="/var/tmp"
    ) as folder:  # short: sockets lie below
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main())
