"""Speed against peers, in one run on one machine: ratios of medians, never a verdict.

A rate above 1.00 is faster than the peer. Each round runs every way once, its input dropped from the page
cache before and its output brought to disk within the time, so that all ways do the same work.

Usage: ``python -m scripts.bench [--mib N] [--rounds N]``
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bed.dockerd import PrivateDockerd
from bed.images import build_release
from bed.unavailable import Unavailable
from binary_split.archive.cbc import derive_key
from binary_split.config import MIB
from binary_split.model import Fragment

PYTHON = sys.executable
PROGRAM = str(Path(sys.executable).with_name("binary-split"))
VERSION = "1.0.0"


@dataclass(frozen=True)
class Way:
    """One way to do a job: its name, and what to run; the first way of a job is its peer."""

    name: str
    run: Callable[[], None]


class Bench:
    """A folder with one sealed release, and the ways to open it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.plain = folder / "release.tar"
        self.archive = folder / "bundle.enc"
        self.ciphertext = folder / "ciphertext"  # the archive without its IV, as `openssl enc` wants it
        self.fragment = folder / "fragment"
        self.output = folder / "output"
        self.fragment.write_bytes(os.urandom(32))
        self.ids = build_release(self.plain, VERSION, filler_bytes=size)
        self.seal()
        with self.archive.open("rb") as sealed, self.ciphertext.open("wb") as rest:
            self.iv = sealed.read(16)
            shutil.copyfileobj(sealed, rest, MIB)

    def openssl(self) -> list[str]:
        """Return the command that decrypts to stdout; its key is worth nothing, so argv may hold it."""
        key = derive_key(Fragment(self.fragment.read_bytes())).hex()
        secret = ["-K", key, "-iv", self.iv.hex()]
        return ["openssl", "enc", "-d", "-aes-256-cbc", *secret, "-in", str(self.ciphertext)]

    def seal(self) -> None:
        """Seal the release from its plain tar."""
        self._seal(self.archive)

    def decrypt_archive(self) -> None:
        """Decrypt by the facade, in a process of its own."""
        code = (
            "import sys; from binary_split import decrypt_archive; "
            "decrypt_archive(sys.argv[1], open(sys.argv[3], 'rb').read(), sys.argv[2])"
        )
        call([PYTHON, "-c", code, self.archive, self.output, self.fragment])

    def decrypt_with_openssl(self) -> None:
        """Decrypt with `openssl enc`, and bring the output to disk as `decrypt_archive` does."""
        call([*self.openssl(), "-out", self.output])
        sync(self.output)

    def decrypt_with_openssl_unsynced(self) -> None:
        """Decrypt with `openssl enc`, the output left in the page cache."""
        call([*self.openssl(), "-out", self.output])

    def encrypt_with_openssl(self) -> None:
        """Encrypt the plain tar with `openssl enc`."""
        secret = self.openssl()[4:8]
        call(["openssl", "enc", "-e", "-aes-256-cbc", *secret, "-in", self.plain, "-out", self.output])
        sync(self.output)

    def seal_again(self) -> None:
        """Seal, every blob checked, to the output."""
        self._seal(self.output)

    def unlock(self, host: str) -> None:
        """Unlock into an engine, every digest checked."""
        pins = [part for ref, digest in self.ids.items() for part in ("--image-id", f"{ref}={digest}")]
        call((PROGRAM, "unlock", self.archive, "--version", VERSION, *self._fragment_option(), *pins), host)

    def load_plain(self, host: str) -> None:
        """Load the plain tar, no secrecy at all."""
        call(["docker", "load", "-q", "-i", self.plain], host)

    def original_way(self, host: str) -> None:
        """Decrypt to a file, then load the file."""
        self.decrypt_archive()
        call(["docker", "load", "-q", "-i", self.output], host)

    def openssl_pipe(self, host: str) -> None:
        """Decrypt with openssl into `docker load`."""
        with subprocess.Popen(self.openssl(), stdout=subprocess.PIPE) as openssl:
            call(["docker", "load", "-q"], host, stdin=openssl)

    def inputs(self) -> tuple[Path, ...]:
        """Return what the ways read."""
        return self.plain, self.archive, self.ciphertext

    def _seal(self, output: Path) -> None:
        origin = ("--from", f"docker-archive:{self.plain}")
        release = ("--format", "cbc", "--version", VERSION, *origin)
        call((PROGRAM, "seal", *release, *self._fragment_option(), "-o", output))

    def _fragment_option(self) -> tuple[str | Path, ...]:
        return "--fragment-file", self.fragment


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
        try:
            with PrivateDockerd() as engine:
                bench_engine(bench, engine, options.rounds)
        except Unavailable as missing:
            print(f"\nnot measured: {missing}")
    return 0


def bench_streams(bench: Bench, rounds: int) -> None:
    """Measure decrypting and sealing, disk to disk."""
    decrypting = (
        Way("openssl enc -d, fsync", bench.decrypt_with_openssl),
        Way("openssl enc -d, no fsync", bench.decrypt_with_openssl_unsynced),
        Way("decrypt_archive", bench.decrypt_archive),
    )
    sealing = (
        Way("openssl enc -e, fsync", bench.encrypt_with_openssl),
        Way("binary-split seal (all digests checked)", bench.seal_again),
    )
    for title, ways in (("decrypt, disk to disk", decrypting), ("seal, disk to disk", sealing)):
        show(title, measure(ways, rounds, before=lambda: clear(bench)))


def bench_engine(bench: Bench, engine: PrivateDockerd, rounds: int) -> None:
    """Measure loading into an emptied engine."""

    def empty() -> None:
        engine.empty()
        clear(bench)
        time.sleep(2)  # deleting many files slows down what comes right after

    ways = (
        Way("docker load -i plain.tar", lambda: bench.load_plain(engine.host)),
        Way("decrypt_archive, then docker load", lambda: bench.original_way(engine.host)),
        Way("openssl enc -d | docker load", lambda: bench.openssl_pipe(engine.host)),
        Way("binary-split unlock (all digests checked)", lambda: bench.unlock(engine.host)),
    )
    version = engine.docker("version", "--format", "{{.Server.Version}}").stdout.strip()
    show(f"load into docker {version}", measure(ways, rounds, before=empty))


def measure(ways: tuple[Way, ...], rounds: int, *, before: Callable[[], None]) -> dict[str, list[float]]:
    """Return each way's times in seconds, one a round."""
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


def clear(bench: Bench) -> None:
    """Remove the output and drop the inputs from the page cache."""
    bench.output.unlink(missing_ok=True)
    os.sync()
    for path in bench.inputs():
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def sync(path: Path) -> None:
    """Bring a file to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def call(
    command: Sequence[str | Path],
    host: str | None = None,
    *,
    stdin: subprocess.Popen[bytes] | None = None,
) -> None:
    """Run a command that must succeed."""
    environment = os.environ | ({"DOCKER_HOST": host} if host else {})
    source = stdin.stdout if stdin else subprocess.DEVNULL
    subprocess.run(
        [str(part) for part in command], env=environment, stdin=source, capture_output=True, check=True
    )


def describe_machine() -> str:
    """Return what the figures depend on."""
    openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    flags = Path("/proc/cpuinfo").read_text()
    extensions = ", ".join(name for name in ("aes", "sha_ni", "avx2") if f" {name} " in flags)
    python = platform.python_version()
    return f"{os.cpu_count()} cores ({extensions}), Python {python}, OpenSSL {openssl.split()[1]}"


if __name__ == "__main__":
    sys.exit(main())
