"""What every transport promises, whatever it is and whatever its line does; each before a real server.

A carrier is a place that archives come from: a file, the parts of one, nginx by http and by https, the same
behind a line that breaks every connection off and behind a proxy that lies about lengths, the parts of one at
nginx, and two registries of the Distribution project, one of which asks for a password. A server that gives
no parts of a file is refused: test_http_source.py.
"""

from __future__ import annotations

import os
import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from binary_split.archive.detect import read_format
from binary_split.archive.positioned import Positioned
from binary_split.config import MIB
from binary_split.errors import ArchiveChangedError, ArchiveError, ArchiveUnreadableError
from binary_split.transports import open_source
from tests.transports.carriers import Carrier

if TYPE_CHECKING:
    from binary_split.transports import Source

SIZE = 3 * MIB + 4321
CONTENT = random.Random(7).randbytes(SIZE)
OTHER = random.Random(8).randbytes(SIZE)


@pytest.fixture
def full(carrier: Carrier) -> Carrier:
    """A place with an archive."""
    carrier.put(CONTENT)
    return carrier


def read_all(source: Source, size: int = SIZE) -> bytes:
    target = bytearray(size)
    Positioned(source).read_at(0, memoryview(target))
    return bytes(target)


def test_it_is_the_archive_from_the_first_byte_to_the_last(full: Carrier) -> None:
    with open_source(full.location) as source:
        assert source.seek(0, os.SEEK_END) == SIZE
        assert source.read(1) == b""
        assert source.seek(0) == 0
        assert source.readall() == CONTENT
        assert source.tell() == SIZE


def test_any_part_of_any_size_is_that_of_the_archive(full: Carrier) -> None:
    draw = random.Random(1)
    places = [(draw.randrange(SIZE), draw.randrange(1, 400_000)) for _look in range(30)]
    places += [(edge + shift, 2) for edge in (1, MIB, 1_500_000, SIZE - 2) for shift in (-1, 0, 1)]
    with open_source(full.location) as source:
        for offset, size in places:
            source.seek(offset)
            target = bytearray(size)
            count = source.readinto(target)
            assert 0 < count <= size
            assert target[:count] == CONTENT[offset : offset + count]
            assert source.tell() == offset + count


def test_nothing_is_behind_the_end(full: Carrier) -> None:
    with open_source(full.location) as source:
        for offset in (SIZE, SIZE + 1, SIZE + 10 * MIB):
            assert source.seek(offset) == offset
            assert source.read(10) == b""
            assert source.read_at(offset, memoryview(bytearray(10))) == 0
        assert source.read_at(SIZE - 3, memoryview(bytearray(10))) == 3


def test_no_byte_is_asked_for_and_none_is_given(full: Carrier) -> None:
    with open_source(full.location) as source:
        assert source.read_at(5, memoryview(bytearray())) == 0
        assert source.read(0) == b""


def test_many_threads_read_it_at_once_and_the_position_stays(full: Carrier) -> None:
    wrong: list[int] = []

    def look(source: Source, seed: int) -> None:
        draw = random.Random(seed)
        for _look in range(12):
            offset, size = draw.randrange(SIZE), draw.randrange(1, 100_000)
            target = bytearray(size)
            count = source.read_at(offset, memoryview(target))
            if not count or target[:count] != CONTENT[offset : offset + count]:
                wrong.append(offset)

    with open_source(full.location) as source:
        source.seek(17)
        threads = [threading.Thread(target=look, args=(source, seed)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert source.tell() == 17
    assert wrong == []


def test_after_it_is_closed_nothing_is_read_and_no_thread_is_left(full: Carrier) -> None:
    before = set(threading.enumerate())
    source = open_source(full.location)
    source.read(10)
    threads = set(threading.enumerate()) - before
    source.close()
    source.close()
    assert source.closed
    assert not [thread for thread in threads if thread.name.startswith("http-block") and thread.is_alive()]
    with pytest.raises(ValueError, match="closed"):
        source.read(10)


def test_an_archive_that_is_not_there_is_named(carrier: Carrier) -> None:
    with pytest.raises(ArchiveUnreadableError) as caught:
        open_source(carrier.location)
    assert carrier.name in str(caught.value)


def test_an_empty_archive_is_none(carrier: Carrier) -> None:
    """FAULTS 1."""
    carrier.put(b"")
    with pytest.raises(ArchiveError), open_source(carrier.location) as source:
        read_format(source)


@pytest.mark.fault(25)
def test_another_archive_in_its_place_is_noticed_or_not_read(full: Carrier) -> None:
    """FAULTS 25: never the bytes of two."""
    with open_source(full.location) as source:
        source.read_at(0, memoryview(bytearray(10)))
        full.put(OTHER)
        with suppress(ArchiveChangedError):
            assert read_all(source) == CONTENT


@pytest.mark.fault(25)
def test_an_archive_that_becomes_shorter_is_an_error(full: Carrier) -> None:
    """FAULTS 25."""
    with open_source(full.location) as source:
        source.read_at(0, memoryview(bytearray(10)))
        full.truncate(2 * MIB)
        with pytest.raises(ArchiveError, match=r"became shorter|is another file|cannot read|bytes long"):
            read_all(source)
