"""Jobs that are no command, each to be run as a process of its own: ``-m scripts.bench.jobs JOB …``."""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

_READ_BYTES = 64 * 1024
_READS = 1000


def decrypt_archive(archive: Path, fragment: Path, output: Path) -> None:
    """Decrypt a ``cbc`` archive by the facade."""
    from binary_split import decrypt_archive as decrypt

    decrypt(str(archive), fragment.read_bytes(), str(output))


def unseal(archive: Path, identity: Path, output: Path) -> None:
    """Decrypt an age file by the codec alone."""
    from binary_split.archive.age import open_age, parse_identities
    from binary_split.transports.file import FileSource

    with (
        FileSource(archive) as source,
        open_age(source, parse_identities(identity.read_text())) as reader,
        output.open("wb", buffering=0) as sink,
    ):
        sink.writelines(reader.pieces())


def unseal_with_pyrage(archive: Path, identity: Path, output: Path) -> None:
    """Decrypt an age file with pyrage."""
    import pyrage  # type: ignore[import-untyped]

    key = pyrage.x25519.Identity.from_str(identity.read_text().split()[-1])
    with archive.open("rb") as source, output.open("wb") as sink:
        pyrage.decrypt_io(source, sink, [key])


def seal(plain: Path, recipient: Path, output: Path) -> None:
    """Seal a file by the codec alone."""
    from binary_split.archive.age import parse_recipient, seal_age

    with (
        plain.open("rb", buffering=0) as source,
        output.open("wb", buffering=0) as sink,
        seal_age(sink, [parse_recipient(recipient.read_text())]) as writer,
    ):
        while writer.write_from(source):
            pass


def seal_with_pyrage(plain: Path, recipient: Path, output: Path) -> None:
    """Seal a file with pyrage."""
    import pyrage

    key = pyrage.x25519.Recipient.from_str(recipient.read_text())
    with plain.open("rb") as source, output.open("wb") as sink:
        pyrage.encrypt_io(source, sink, [key])


def read_at_random(archive: Path, identity: Path) -> None:
    """Read 64 KiB at offsets all over an age file; print the median and the 99th percentile in ms."""
    from binary_split.archive.age import open_age, parse_identities

    places = random.Random(1)
    times = []
    with (
        archive.open("rb", buffering=0) as source,
        open_age(source, parse_identities(identity.read_text())) as reader,
    ):
        for _read in range(_READS):
            place = places.randrange(max(1, reader.size - _READ_BYTES))
            started = time.perf_counter()
            reader.seek(place)
            reader.read(_READ_BYTES)
            times.append(1000 * (time.perf_counter() - started))
    print(statistics.median(times), statistics.quantiles(times, n=100)[98])


JOBS: dict[str, Callable[..., None]] = {
    job.__name__: job
    for job in (decrypt_archive, unseal, unseal_with_pyrage, seal, seal_with_pyrage, read_at_random)
}

if __name__ == "__main__":
    JOBS[sys.argv[1]](*map(Path, sys.argv[2:]))
