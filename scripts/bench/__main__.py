"""Speed against peers, in one run on one machine: ratios of medians, never a verdict.

A speed above 1.00 is faster than the peer, which is the first row. Each round runs every way once. Disk to
disk and into an engine, a way's input is dropped from the page cache before, and its output brought to disk
within the time, so that all ways do the same work; where a table says "from memory", the input is in the page
cache. The times are those of whole processes, their start included.

Usage: ``python -m scripts.bench [--mib N] [--rounds N]``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bed.dockerd import PrivateDockerd
from bed.unavailable import Unavailable
from binary_split.config import MIB
from scripts.bench.age import AgeBench, bench_age
from scripts.bench.loading import Bench, bench_engine, bench_streams
from scripts.bench.measuring import describe_machine


def main() -> int:
    """Run the jobs and print their tables."""
    parser = argparse.ArgumentParser(description="Speed against peers: ratios, never a verdict.")
    parser.add_argument("--mib", type=int, default=1024, help="size of the release (default: 1024)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each job (default: 5)")
    options = parser.parse_args()
    print(f"{options.mib} MiB, medians of {options.rounds} rounds; {describe_machine()}")
    with tempfile.TemporaryDirectory(prefix="binary-split-bench-", dir="/var/tmp") as folder:
        bench = Bench(Path(folder), options.mib * MIB)
        bench_streams(bench, options.rounds)
        bench_age(AgeBench(Path(folder), bench.plain), options.rounds)
        try:
            with PrivateDockerd() as engine:
                bench_engine(bench, engine, options.rounds)
        except Unavailable as missing:
            print(f"\nnot measured: {missing}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
