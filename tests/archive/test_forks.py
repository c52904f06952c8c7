"""Several readers of one archive at once, each at a place of its own."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable

import pytest

from binary_split.archive.age import SeekableReader, StreamWriter
from binary_split.archive.cbc import CbcReader, CbcWriter
from binary_split.model import Fragment

PLAIN = random.Random(1).randbytes(3_000_000)
FRAGMENT = Fragment(b"a fragment")
KEY = bytes(32)
Reader = SeekableReader | CbcReader


def _open_age() -> SeekableReader:
    sealed = io.BytesIO()
    with StreamWriter(sealed, KEY) as writer:
        writer.write(PLAIN)
    return SeekableReader(sealed, KEY, start=0)


def _open_cbc() -> CbcReader:
    sealed = io.BytesIO()
    writer = CbcWriter(sealed, FRAGMENT)
    writer.write(PLAIN)
    writer.finish()
    return CbcReader(sealed, FRAGMENT)


def _read_stretches(reader: Reader, seed: float, wrong: list[int]) -> None:
    places = random.Random(seed)
    for _stretch in range(60):
        start, size = places.randrange(len(PLAIN)), places.randrange(200_000)
        reader.seek(start)
        found = b""
        while len(found) < size and (part := reader.read(size - len(found))):
            found += part
        if found != PLAIN[start : start + size]:
            wrong.append(start)


@pytest.mark.parametrize("open_reader", [_open_age, _open_cbc])
def test_forks_read_side_by_side_what_one_reader_reads(
    open_reader: Callable[[], Reader], chance: random.Random
) -> None:
    wrong: list[int] = []
    with open_reader() as first:
        readers: list[Reader] = [first, *(first.fork() for _fork in range(3))]
        threads = [
            threading.Thread(target=_read_stretches, args=(reader, chance.random(), wrong))
            for reader in readers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for fork in readers[1:]:
            fork.close()
        assert first.read(10) is not None
    assert wrong == []
