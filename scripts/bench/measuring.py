"""How ways are timed against each other, and how the machine is described."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_LOOK_S = 0.005


@dataclass(frozen=True)
class Way:
    """One way to do a job: its name, and what to run; the first way of a job is its peer."""

    name: str
    run: Callable[[], None]


def measure(ways: Sequence[Way], rounds: int, *, before: Callable[[], None]) -> dict[str, list[float]]:
    """Return each way's times in seconds, one a round; each round runs every way once."""
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    for _round in range(rounds):
        for way in ways:
            before()
            started = time.perf_counter()
            way.run()
            times[way.name].append(time.perf_counter() - started)
    return times


def show(title: str, times: dict[str, list[float]]) -> None:
    """Print a table; the ratios are medians of the ratios within each round."""
    peer = next(iter(times.values()))
    print(f"\n{title:<44} {'median s':>9} {'speed':>6}  range")
    for name, own in times.items():
        ratios = [theirs / ours for theirs, ours in zip(peer, own, strict=True)]
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        print(f"  {name:<42} {statistics.median(own):>9.2f} {statistics.median(ratios):>6.2f}  {spread}")


def drop_from_cache(paths: Iterable[Path]) -> None:
    """Bring everything to disk and drop files from the page cache."""
    os.sync()
    for path in paths:
        _advise(path, os.POSIX_FADV_DONTNEED)


def bring_into_cache(paths: Iterable[Path]) -> None:
    """Read files, so that they are in the page cache."""
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def sync(path: Path) -> None:
    """Bring a file to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def call(command: Sequence[str | Path]) -> bytes:
    """Run a command that must succeed, and return its stdout."""
    parts = [str(part) for part in command]
    return subprocess.run(parts, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout


def peak_mib(command: Sequence[str | Path]) -> float:
    """Return the most memory (VmHWM) that a command had, in MiB, looked at while it runs."""
    peak = 0
    with subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            lines = dict(line.partition(":")[::2] for line in status.read_text().splitlines())
            peak = max(peak, int(lines.get("VmHWM", "0 kB").split()[0]))
            time.sleep(_LOOK_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, str(command[0]))
    return peak / 1024


def describe_machine() -> str:
    """Return what the figures depend on."""
    openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    flags = Path("/proc/cpuinfo").read_text()
    extensions = ", ".join(name for name in ("aes", "sha_ni", "avx2") if f" {name} " in flags)
    python = platform.python_version()
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({extensions}; load {load:.1f}), Python {python}, "
        f"OpenSSL {openssl.split()[1]}"
    )


def _advise(path: Path, advice: int) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, advice)
    os.close(descriptor)
