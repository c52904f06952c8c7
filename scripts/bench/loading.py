"""A `cbc` release unsealed and sealed, against openssl; and how long the program takes to start."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from bed.images import build_release
from binary_split.archive.cbc import derive_key
from binary_split.config import MIB
from binary_split.model import Fragment
from scripts.bench.figures import Figure, ratios
from scripts.bench.measuring import Way, bring_into_cache, call, drop_from_cache, measure, show, sync

PROGRAM = str(Path(sys.executable).with_name("binary-split"))
JOBS = (sys.executable, "-m", "scripts.bench.jobs")
VERSION = "1.0.0"


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
        build_release(self.plain, VERSION, filler_bytes=size)
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
        call([*JOBS, "decrypt_archive", self.archive, self.fragment, self.output])

    def decrypt_with_openssl(self) -> None:
        """Decrypt with `openssl enc`, and bring the output to disk as `decrypt_archive` does."""
        call([*self.openssl(), "-out", self.output])
        sync(self.output)

    def decrypt_with_openssl_unsynced(self) -> None:
        """Decrypt with `openssl enc`, the output left in the page cache."""
        call([*self.openssl(), "-out", self.output])

    def discard_with_openssl(self) -> None:
        """Decrypt with `openssl enc` to nowhere."""
        call([*self.openssl(), "-out", os.devnull])

    def discard(self) -> None:
        """Decrypt by the command to nowhere."""
        call([PROGRAM, "decrypt", self.archive, *self._fragment_option(), "-o", os.devnull])

    def encrypt_with_openssl(self) -> None:
        """Encrypt the plain tar with `openssl enc`."""
        secret = self.openssl()[4:8]
        call(["openssl", "enc", "-e", "-aes-256-cbc", *secret, "-in", self.plain, "-out", self.output])
        sync(self.output)

    def seal_again(self) -> None:
        """Seal, every blob checked, to the output."""
        self._seal(self.output)

    def inputs(self) -> tuple[Path, ...]:
        """Return what the ways read."""
        return self.plain, self.archive, self.ciphertext

    def _seal(self, output: Path) -> None:
        origin = ("--from", f"docker-archive:{self.plain}")
        call(
            (
                PROGRAM,
                "seal",
                "--format",
                "cbc",
                "--version",
                VERSION,
                *origin,
                *self._fragment_option(),
                "-o",
                output,
            )
        )

    def _fragment_option(self) -> tuple[str | Path, ...]:
        return "--fragment-file", self.fragment


def bench_streams(bench: Bench, rounds: int) -> list[Figure]:
    """Measure decrypting and sealing, disk to disk, and reading alone."""
    peer, own = "openssl enc -d, fsync", "decrypt_archive"
    decrypting = (
        Way(peer, bench.decrypt_with_openssl),
        Way("openssl enc -d, no fsync", bench.decrypt_with_openssl_unsynced),
        Way(own, bench.decrypt_archive),
    )
    sealing = (
        Way("openssl enc -e, fsync", bench.encrypt_with_openssl),
        Way("binary-split seal (all digests checked)", bench.seal_again),
    )
    decrypted = measure(decrypting, rounds, before=lambda: clear(bench))
    show("decrypt cbc, disk to disk", decrypted)
    show("seal cbc, disk to disk", measure(sealing, rounds, before=lambda: clear(bench)))
    bring_into_cache(bench.inputs())
    reading = (
        Way("openssl enc -d -out /dev/null", bench.discard_with_openssl),
        Way("binary-split decrypt -o /dev/null", bench.discard),
    )
    read = measure(reading, rounds, before=lambda: None)
    show("read cbc, from memory to /dev/null", read)
    return [
        Figure.of("cbc to a file: speed, of openssl's", ratios(decrypted, peer, own), at_least=0.8),
        Figure.of("cbc from memory: speed, of openssl's", ratios(read, *read), at_least=1.0),
    ]


def bench_start(rounds: int) -> Figure:
    """Measure ``--help``, a whole process."""
    times = measure([Way("--help", _start)], rounds, before=lambda: None)
    return Figure.of("binary-split --help", [1000 * each for each in times["--help"]], unit="ms", at_most=100)


def _start() -> None:
    call((PROGRAM, "--help"))


def clear(bench: Bench) -> None:
    """Remove the output and drop the inputs from the page cache."""
    bench.output.unlink(missing_ok=True)
    drop_from_cache(bench.inputs())
