"""The payload's writer: several threads, one order, and nothing left of them."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from binary_split.archive.age import StreamWriter
from binary_split.archive.age.stream import CHUNK_BYTES, SPAN_CHUNKS, chunk_nonce

from .kit import payload

KEY = bytes(range(32))
BATCH = SPAN_CHUNKS * CHUNK_BYTES
PLAIN = payload(3 * BATCH + 1)
Write = Callable[[bytes, int, int], bytes]


def _sealed_one_by_one(plaintext: bytes) -> bytes:
    """Seal as the specification says it, a chunk after the other."""
    aead = ChaCha20Poly1305(KEY)
    chunks = [plaintext[at : at + CHUNK_BYTES] for at in range(0, len(plaintext), CHUNK_BYTES)] or [b""]
    return b"".join(
        aead.encrypt(chunk_nonce(index, final=index == len(chunks) - 1), chunk, None)
        for index, chunk in enumerate(chunks)
    )


def _written(plaintext: bytes, step: int, threads: int) -> bytes:
    sink = io.BytesIO()
    with StreamWriter(sink, KEY, threads=threads) as writer:
        for at in range(0, len(plaintext), step):
            assert writer.write(memoryview(plaintext)[at : at + step]) == min(step, len(plaintext) - at)
    return sink.getvalue()


class _Dripping(io.BytesIO):
    """Gives at most so many bytes at a time."""

    def __init__(self, content: bytes, step: int) -> None:
        super().__init__(content)
        self._step = step

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        return super().readinto(buffer[: self._step])


def _written_from(plaintext: bytes, step: int, threads: int) -> bytes:
    sink, source = io.BytesIO(), _Dripping(plaintext, step)
    with StreamWriter(sink, KEY, threads=threads) as writer:
        assert sum(iter(lambda: writer.write_from(source), 0)) == len(plaintext)
    return sink.getvalue()


both_ways = pytest.mark.parametrize("write", [_written, _written_from])


@both_ways
@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH, 3 * BATCH + 1]
)
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_write_what_one_chunk_after_the_other_would(write: Write, size: int, threads: int) -> None:
    plaintext = PLAIN[:size]
    assert write(plaintext, 1_000_003, threads) == _sealed_one_by_one(plaintext)


@both_ways
@given(size=st.integers(0, len(PLAIN)), step=st.integers(4096, 2 * BATCH), threads=st.integers(1, 4))
def test_any_size_in_any_steps_is_the_same_payload(write: Write, size: int, step: int, threads: int) -> None:
    plaintext = PLAIN[:size]
    assert write(plaintext, step, threads) == _sealed_one_by_one(plaintext)


class _Full(io.RawIOBase):
    """Takes some bytes and then no more."""

    def __init__(self, room: int) -> None:
        self._room = room

    def writable(self) -> bool:
        return True

    def write(self, part: object, /) -> int:
        self._room -= len(part)  # type: ignore[arg-type]
        if self._room < 0:
            raise OSError(28, "No space left on device")
        return len(part)  # type: ignore[arg-type]


def _write_all_at_once(sink: _Full) -> None:
    with StreamWriter(sink, KEY, threads=2) as writer:
        writer.write(PLAIN)


def _write_and_finish(sink: _Full) -> None:
    writer = StreamWriter(sink, KEY, threads=2)
    writer.write(PLAIN[:BATCH])
    writer.finish()


@pytest.mark.parametrize("write", [_write_all_at_once, _write_and_finish])
def test_an_error_of_the_sink_comes_out_and_ends_the_threads(write: Callable[[_Full], None]) -> None:
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="No space left"):
        write(_Full(BATCH // 2))
    assert set(threading.enumerate()) == before


def test_an_abandoned_writer_takes_nothing_more_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    sink = io.BytesIO()
    writer = StreamWriter(sink, KEY, threads=2)
    writer.write(PLAIN)
    writer.abandon()
    assert set(threading.enumerate()) == before
    with pytest.raises(ValueError, match="finished"):
        writer.write(b"more")
    assert _sealed_one_by_one(PLAIN).startswith(sink.getvalue())
