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


@pytest.mark.parametrize("open_reader", [_open_age, _open_cbc])
def test_whatever_was_expected_every_part_is_read_right(open_reader: Callable[[], Reader]) -> None:
    wrong: list[int] = []
    with open_reader() as first:
        first.expect([(100_000, 500_000), (600_000, 10), (2_000_000, 1_000_000)])
        with first.fork() as fork:
            for seed, reader in enumerate((first, fork)):
                _read_stretches(reader, seed, wrong)
    assert wrong == []


class _Noted(io.BytesIO):
    """Notes how far it is read."""

    furthest = 0

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        count = super().readinto(buffer)
        self.furthest = max(self.furthest, self.tell())
        return count


def test_nothing_is_read_ahead_beyond_what_is_expected() -> None:
    sealed = _Noted()
    with StreamWriter(sealed, KEY) as writer:
        writer.write(PLAIN)
    with SeekableReader(sealed, KEY, start=0) as first:
        first.expect([(0, 300_000)])
        with first.fork() as fork:
            sealed.furthest = 0
            found = b""
            while len(found) < 300_000:
                found += fork.read(300_000 - len(found))
    assert found == PLAIN[:300_000]
    assert sealed.furthest == 5 * (65_536 + 16)  # the chunks that hold it
