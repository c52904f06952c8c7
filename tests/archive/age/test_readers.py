"""The readers as file objects: random access equals reading in order; writers and sources of every manner."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binary_split.archive.age import (
    FragmentRecipient,
    SeekableReader,
    open_age,
    open_age_stream,
    plaintext_size,
    seal_age,
)
from binary_split.errors import ArchiveDamagedError, ArchiveUnreadableError
from tests.archive.age.kit import CHUNK, FRAGMENT, IDENTITY, KEY_ID, SEALED, Pipe, drain, payload, sealed

LARGE = 40 * CHUNK + 1234


def opened(size: int, **options: int) -> SeekableReader:
    return open_age(io.BytesIO(sealed(size)), [IDENTITY], **options)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, LARGE + 100), st.integers(0, 12 * CHUNK), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_random_access_equals_reading_in_order(reads: list[tuple[int, int, bool]]) -> None:
    plaintext = payload(LARGE)
    with opened(LARGE, threads=2) as reader:
        position = 0
        for offset, size, jump in reads:
            if jump:
                position = reader.seek(offset)
            assert reader.read(size) == plaintext[position : position + size]
            position = reader.tell()


@pytest.mark.parametrize(
    ("start", "size", "chunks"),
    [(0, 0, 0), (0, 1, 1), (CHUNK - 1, 2, 2), (5, CHUNK, 2), (2 * CHUNK, 3 * CHUNK, 3)],
)
def test_a_stretch_costs_the_chunks_in_which_it_lies(start: int, size: int, chunks: int) -> None:
    with opened(LARGE) as reader:
        assert reader.sealed_bytes(start, size) == chunks * SEALED


@settings(max_examples=30, deadline=None)
@given(
    at_most=st.integers(1, 200_000),
    step=st.integers(1, 200_000),
    size=st.sampled_from((0, CHUNK, LARGE // 8)),
)
def test_any_pattern_of_short_reads_gives_the_same_bytes(at_most: int, step: int, size: int) -> None:
    reader = open_age_stream(Pipe(sealed(size), at_most=max(at_most, size // 50)), [IDENTITY])
    parts = []
    while part := reader.read(max(step, size // 50 + 1)):
        parts.append(part)
    assert b"".join(parts) == payload(size)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3 * CHUNK), max_size=6))
def test_any_pattern_of_writes_gives_the_same_payload(sizes: list[int]) -> None:
    sink = io.BytesIO()
    plaintext = payload(sum(sizes))
    with seal_age(sink, [FragmentRecipient(KEY_ID, FRAGMENT)]) as writer:
        at = 0
        for size in sizes:
            assert writer.write(memoryview(plaintext)[at : at + size]) == size
            at += size
    assert open_age_stream(Pipe(sink.getvalue()), [IDENTITY]).readall() == plaintext
    assert len(sink.getvalue()) == len(sealed(0)) + sum(sizes) + 16 * max(0, -(-sum(sizes) // CHUNK) - 1)


@pytest.mark.parametrize("size", [0, 5, CHUNK, LARGE])
def test_pieces_are_the_same_bytes_without_a_copy(size: int) -> None:
    with opened(size, threads=2) as reader:
        reader.seek(min(size, 3))
        assert b"".join(bytes(piece) for piece in reader.pieces()) == payload(size)[3:]
        assert reader.tell() == size
    forward = open_age_stream(Pipe(sealed(size)), [IDENTITY])
    assert b"".join(bytes(piece) for piece in forward.pieces()) == payload(size)
    cut = open_age_stream(Pipe(sealed(size)[:-1]), [IDENTITY])
    with pytest.raises(ArchiveDamagedError):
        list(cut.pieces())


def test_small_skips_forward_keep_the_read_ahead() -> None:
    plaintext = payload(LARGE)
    with opened(LARGE, threads=2) as reader:
        reader.read(3 * CHUNK)
        for position in (
            4 * CHUNK,
            9 * CHUNK,
            12 * CHUNK,
            30 * CHUNK,
            31 * CHUNK,
            33 * CHUNK + 17,
            LARGE - 100,
        ):
            reader.seek(position)
            assert reader.read(100) == plaintext[position : position + 100]


def test_it_is_a_file_object() -> None:
    with opened(CHUNK + 5) as reader:
        assert reader.readable()
        assert reader.seekable()
        assert not reader.writable()
        assert reader.size == reader.seek(0, io.SEEK_END) == CHUNK + 5
        assert reader.read(1) == b""
        assert reader.seek(-3, io.SEEK_CUR) == CHUNK + 2
        assert reader.read() == payload(CHUNK + 5)[-3:]
        assert reader.seek(10**12) == 10**12
        assert reader.read(10**12) == b""
        buffered = io.BufferedReader(reader)
        assert buffered.seek(CHUNK) == CHUNK
        assert buffered.readline() == payload(CHUNK + 5)[CHUNK:]
        buffered.detach()
        for offset, whence in ((-1, 0), (0, 9)):
            with pytest.raises(ValueError, match="cannot seek"):
                reader.seek(offset, whence)
    with pytest.raises(ValueError, match="closed"):
        reader.read(1)
    with pytest.raises(ValueError, match="closed"):
        reader.seek(0)


def test_a_tar_is_read_straight_out_of_the_archive() -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as members:
        for index in range(5):
            member = tarfile.TarInfo(f"layer-{index}")
            member.size = 100_000 * index
            members.addfile(member, io.BytesIO(payload(100_000 * index)))
    sink = io.BytesIO()
    with seal_age(sink, [FragmentRecipient(KEY_ID, FRAGMENT)]) as writer:
        writer.write(tar.getbuffer())
    with open_age(sink_at_start(sink), [IDENTITY]) as reader, tarfile.open(fileobj=reader) as members:
        for index in (4, 0, 2):
            layer = members.extractfile(f"layer-{index}")
            assert layer is not None
            assert layer.read() == payload(100_000 * index)


def sink_at_start(sink: io.BytesIO) -> io.BytesIO:
    sink.seek(0)
    return sink


def test_an_archive_may_begin_anywhere_in_its_source() -> None:
    source = io.BytesIO(b"x" * 777 + sealed(2 * CHUNK))
    source.seek(777)
    with open_age(source, [IDENTITY]) as reader:
        assert reader.read() == payload(2 * CHUNK)


def test_the_size_is_known_without_a_key() -> None:
    for size in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, LARGE):
        assert plaintext_size(len(sealed(size)) - len(sealed(0)) + 16) == size
    for impossible in (0, 15, SEALED + 15, SEALED + 16, 2 * SEALED + 1):
        with pytest.raises(ArchiveDamagedError):
            plaintext_size(impossible)


def test_a_source_that_cannot_seek_is_refused() -> None:
    class Unseekable(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            raise io.UnsupportedOperation("seek")

    with pytest.raises(ArchiveUnreadableError):
        open_age(Unseekable(sealed(10)), [IDENTITY])


@pytest.mark.fault(25)
def test_an_error_of_the_medium_is_mapped() -> None:
    class Scratched(io.BytesIO):
        def readinto(self, _buffer: object, /) -> int:
            raise OSError(5, "Input/output error")

    with pytest.raises(ArchiveUnreadableError):
        open_age(Scratched(sealed(10)), [IDENTITY])


@pytest.mark.fault(25)
def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.age"
    path.write_bytes(sealed(LARGE))
    with path.open("rb", buffering=0) as source, open_age(source, [IDENTITY], threads=2) as reader:
        assert reader.read(100) == payload(LARGE)[:100]
        with path.open("r+b") as other:
            other.truncate(10 * SEALED)
        with pytest.raises(ArchiveUnreadableError):
            reader.readall()


class Flaky:
    """A source that fails on request; its reads give less than they were asked for."""

    def __init__(self, raw: bytes) -> None:
        self._inner = io.BytesIO(raw)
        self.broken = False
        self.threads: set[int] = set()

    def read(self, size: int, /) -> bytes:
        if self.broken:
            raise OSError(5, "Input/output error")
        self.threads.add(threading.get_ident())
        return self._inner.read(min(size, 30_000))

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()


def test_after_the_source_failed_the_same_read_can_be_tried_again() -> None:
    source = Flaky(sealed(LARGE))
    plaintext = payload(LARGE)
    with open_age(source, [IDENTITY], threads=2) as reader:
        first = reader.read(2 * CHUNK + 5)
        source.broken = True
        more, error = drain(reader)
        assert isinstance(error, ArchiveUnreadableError)
        assert "Input/output error" in str(error)
        source.broken = False
        assert first + more + reader.readall() == plaintext
    assert threading.get_ident() in source.threads
    assert len(source.threads) > 1


@pytest.mark.parametrize("size", [0, 10, CHUNK, 2 * CHUNK + 10])
def test_in_order_too_a_failed_read_can_be_tried_again(size: int) -> None:
    class Stuttering(Pipe):
        calls = 0

        def read(self, size: int, /) -> bytes:
            self.calls += 1
            if self.calls % 2 == 0:
                raise OSError(5, "Input/output error")
            return super().read(size)

    reader = open_age_stream(Pipe(sealed(size)), [IDENTITY])
    reader._intake._source = Stuttering(
        sealed(size)[reader._intake.consumed + len(reader._intake._buffer) :], at_most=9999
    )
    got, ended = b"", False
    while not ended:
        part, error = drain(reader)
        got += part
        ended = error is None
        assert error is None or isinstance(error, ArchiveUnreadableError)
    assert got == payload(size)


@pytest.mark.parametrize("size", [0, 10, CHUNK])
def test_what_arrives_after_the_end_is_noticed_even_late(size: int) -> None:
    class Growing(Pipe):
        ended = False

        def read(self, size: int, /) -> bytes:
            part = super().read(size)
            if part or not self.ended:
                self.ended = not part
                return part
            return b"more"

    reader = open_age_stream(Growing(sealed(size)), [IDENTITY])
    released, error = drain(reader)
    if error is None:  # the end was looked for once, and was true then
        assert released == payload(size)
        released, error = drain(reader)
    assert isinstance(error, ArchiveDamagedError)


def test_closing_stops_the_threads_and_leaves_the_source_open() -> None:
    source = io.BytesIO(sealed(LARGE))
    before = threading.active_count()
    reader = open_age(source, [IDENTITY], threads=2)
    reader.read(20 * CHUNK)
    assert threading.active_count() > before
    reader.close()
    reader.close()
    assert threading.active_count() == before
    assert not source.closed


def test_a_writer_that_is_abandoned_leaves_no_whole_archive() -> None:
    sink = io.BytesIO()
    writer = seal_age(sink, [FragmentRecipient(KEY_ID, FRAGMENT)])

    def fail_halfway() -> None:
        with writer:
            writer.write(payload(3 * CHUNK))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    with pytest.raises(ArchiveDamagedError):
        open_age(sink_at_start(sink), [IDENTITY])
    with pytest.raises(ArchiveDamagedError):
        open_age_stream(Pipe(sink.getvalue()), [IDENTITY]).readall()
    with pytest.raises(ValueError, match="finished"):
        writer.write(b"more")


def test_finishing_twice_writes_one_final_chunk() -> None:
    sink = io.BytesIO()
    writer = seal_age(sink, [FragmentRecipient(KEY_ID, FRAGMENT)])
    writer.write(b"images")
    writer.finish()
    writer.finish()
    with open_age(sink_at_start(sink), [IDENTITY]) as reader:
        assert reader.read() == b"images"


def test_a_raw_sink_that_takes_less_at_a_time_gets_everything() -> None:
    class Sipping(io.BytesIO):
        def write(self, part: bytes | memoryview, /) -> int:  # type: ignore[override]
            return super().write(part[:1000])

    sink = Sipping()
    with seal_age(sink, [FragmentRecipient(KEY_ID, FRAGMENT)]) as writer:
        writer.write(payload(2 * CHUNK))
    assert open_age_stream(Pipe(sink.getvalue()), [IDENTITY]).readall() == payload(2 * CHUNK)
