"""What the tests of the age codec share: keys, sealed files, sources that cannot seek."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from binary_split.archive.age import FragmentIdentity, FragmentRecipient, seal_age
from binary_split.archive.age.stream import PayloadReader
from binary_split.errors import BinarySplitError
from binary_split.model import Fragment

VECTORS = Path(__file__).parents[2] / "vectors"
CHUNK = 64 * 1024
SEALED = CHUNK + 16
KEY_ID = "fleet-7"
FRAGMENT = Fragment(bytes(range(32)))
IDENTITY = FragmentIdentity(FRAGMENT, key_id=KEY_ID)


class Pipe:
    """A source that gives bytes in order, a few at a time, and nothing else."""

    def __init__(self, raw: bytes, *, at_most: int = 1 << 20) -> None:
        self._inner = io.BytesIO(raw)
        self._at_most = at_most

    def read(self, size: int, /) -> bytes:
        return self._inner.read(min(size, self._at_most))


@cache
def payload(size: int) -> bytes:
    """Return bytes that do not repeat, the same at every run."""
    return random.Random(size).randbytes(size)


@cache
def sealed(size: int) -> bytes:
    """Return an age file for `IDENTITY` that holds ``payload(size)``."""
    sink = io.BytesIO()
    with seal_age(sink, [FragmentRecipient(KEY_ID, FRAGMENT)]) as writer:
        writer.write(payload(size))
    return sink.getvalue()


def header_size(raw: bytes) -> int:
    """Return how many bytes come before the nonce."""
    return raw.index(b"\n", raw.index(b"\n--- ") + 1) + 1


def chunks_of(raw: bytes) -> tuple[bytes, list[bytes]]:
    """Split an age file into header and nonce, and sealed chunks."""
    start = header_size(raw) + 16
    return raw[:start], [raw[at : at + SEALED] for at in range(start, len(raw), SEALED)]


def drain(reader: PayloadReader, *, step: int = 50_000) -> tuple[bytes, BinarySplitError | None]:
    """Read to the end or the first error: return all that was released, and the error."""
    released = bytearray()
    try:
        while part := reader.read(step):
            released += part
    except BinarySplitError as error:
        return bytes(released), error
    return bytes(released), None


def lines(parts: Iterable[str]) -> bytes:
    """Join header lines, each ended by LF."""
    return "".join(f"{part}\n" for part in parts).encode("ascii")
