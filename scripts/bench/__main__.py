"""Speed against peers, in one run on one machine: ratios of medians beside what is promised, never a verdict.

A speed above 1.00 is faster than the peer, which is the first row. Each round runs every way once. Disk to
disk and into an engine, a way's input is dropped from the page cache before, and its output brought to disk
within the time, so that all ways do the same work; where a table says "from memory", the input is in the page
cache. The times are those of whole processes, their start included.

Usage: ``python -m scripts.bench [--quick] [--rounds N] [JOB...]``; ``python -m scripts.bench.page`` writes
the page.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bed.unavailable import Unavailable
from binary_split.config import MIB
from scripts.bench.age import AgeBench, bench_age, missing_peers
from scripts.bench.agent import bench_agent
from scripts.bench.figures import Results
from scripts.bench.growing import bench_delta, bench_growth
from scripts.bench.keyservice import bench_keyservice
from scripts.bench.loading import Bench, bench_start, bench_streams
from scripts.bench.measuring import describe_machine
from scripts.bench.transport import bench_transport
from scripts.bench.unlocking import ENGINES, bench_unlock


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured; the jobs say what each is for."""

    codec_mib: int = 1024
    codec_rounds: int = 5
    unlock_mib: int = 2048
    unlock_rounds: int = 3
    sizes_mib: tuple[int, ...] = (256, 1024, 2048, 8192)
    delta_mib: int = 1024
    agent_mib: int = 1024
    seconds: int = 15
    devices: int = 10_000


# The same ways on less: shows that all of it runs, not what is promised.
_QUICK = Scale(64, 1, 256, 1, (64, 256), 128, 128, 2, 200)


def bench_archives(folder: Path, scale: Scale) -> Results:
    """Measure both formats without an engine."""
    bench = Bench(folder, scale.codec_mib * MIB)
    figures = [
        *bench_age(AgeBench(folder, bench.plain), scale.codec_rounds),
        *bench_streams(bench, scale.codec_rounds),
        bench_start(scale.codec_rounds),
    ]
    title = f"{scale.codec_mib} MiB, start of the process included, {scale.codec_rounds} rounds"
    return Results(title, figures, missing=missing_peers())


def _unlock(folder: Path, scale: Scale, *, engine: str) -> Results:
    return bench_unlock(folder, mib=scale.unlock_mib, rounds=scale.unlock_rounds, engine=engine)


def _agent(folder: Path, scale: Scale) -> Results:
    return bench_agent(folder, mib=scale.agent_mib, rounds=scale.unlock_rounds)


JOBS: dict[str, Callable[[Path, Scale], Results]] = {
    "archives": bench_archives,
    **{f"unlock-{engine}": partial(_unlock, engine=engine) for engine in ENGINES},
    "growth": lambda folder, scale: bench_growth(folder, sizes=scale.sizes_mib),
    "delta": lambda folder, scale: bench_delta(folder, mib=scale.delta_mib),
    "transport": lambda folder, scale: bench_transport(
        folder, mib=scale.delta_mib, rounds=scale.unlock_rounds
    ),
    "agent": _agent,
    "keyservice": lambda folder, scale: bench_keyservice(
        folder, seconds=scale.seconds, devices=scale.devices
    ),
}
"""What can be measured, each by itself."""


def main() -> int:
    """Run the jobs, print what they found and keep it for the page."""
    usual = [job for job in JOBS if job not in {"unlock-newer-docker", "unlock-containerd-store"}]
    parser = argparse.ArgumentParser(description="Speed against peers: ratios, never a verdict.")
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"of {', '.join(JOBS)} (default: the usual)")
    parser.add_argument(
        "--rounds", type=int, help="rounds with an engine, for a figure in less time (default: 3)"
    )
    parser.add_argument("--quick", action="store_true", help="small and once: no figures for the page")
    options = parser.parse_args()
    if unknown := set(options.jobs) - JOBS.keys():
        parser.error(f"no such job: {', '.join(sorted(unknown))}")
    scale = _QUICK if options.quick else Scale()
    if options.rounds:
        scale = replace(scale, unlock_rounds=options.rounds)
    print(describe_machine())
    for job in options.jobs or usual:
        try:
            # short: the engines' sockets lie below
            with tempfile.TemporaryDirectory(prefix="bs-bench-", dir="/var/tmp") as folder:
                results = JOBS[job](Path(folder), scale)
        except Unavailable as unavailable:
            results = Results(job, [], missing=[str(unavailable)])
        results.show()
        if not options.quick:
            results.save(job)
    return 0


if __name__ == "__main__":
    sys.exit(main())
