"""Archives of any size: offsets beyond 32 bits, and memory that stays flat."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from binary_split.archive.age import ForwardReader, SeekableReader, StreamWriter, open_age, plaintext_size
from binary_split.archive.age.intake import Intake
from binary_split.archive.age.stream import chunk_nonce
from binary_split.errors import ArchiveDamagedError
from tests.archive.age.kit import CHUNK, IDENTITY, SEALED, sealed

KEY = bytes(range(32))
GIB = 1 << 30
ALLOWED_GROWTH = 48 << 20
ZEROS = bytes(CHUNK)


class SealedZeros:
    """A payload of zeros that is encrypted when it is read: gigabytes that take no room."""

    def __init__(self, size: int) -> None:
        self.chunks = -(-size // CHUNK)
        self.size = size
        self.sealed_size = size + 16 * self.chunks
        self._aead = ChaCha20Poly1305(KEY)
        self._position = 0
        self._index = -1
        self._chunk = b""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._position = offset + (self.sealed_size if whence == os.SEEK_END else 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int, /) -> bytes:
        if self._position >= self.sealed_size:
            return b""
        index, within = divmod(self._position, SEALED)
        if index != self._index:
            final = index == self.chunks - 1
            plain = ZEROS[: self.size - index * CHUNK]
            self._index, self._chunk = index, self._aead.encrypt(chunk_nonce(index, final=final), plain, None)
        part = self._chunk[within : within + size]
        self._position += len(part)
        return part


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def count_zeros(reader: ForwardReader | SeekableReader) -> tuple[int, int]:
    """Read to the end: return how many bytes there were, and by how much the memory grew meanwhile."""
    buffer = bytearray(1 << 20)
    total = reader.readinto(buffer)
    start = peak = resident_bytes()
    zeros = bytes(1 << 20)
    while count := reader.readinto(buffer):
        assert buffer == zeros  # the last, short read leaves zeros behind it
        total += count
        if total % (64 << 20) < len(buffer):
            peak = max(peak, resident_bytes())
    return total, peak - start


@pytest.mark.parametrize("size", [2 * GIB + 1, 4 * GIB + 1, 1 << 50], ids=["2GiB+1", "4GiB+1", "1PiB"])
def test_random_access_reaches_beyond_32_bits(size: int, chance: random.Random) -> None:
    source = SealedZeros(size)
    assert plaintext_size(source.sealed_size) == size
    with SeekableReader(source, KEY, start=0, threads=2) as reader:
        assert reader.size == size
        for offset in (0, 2**31 - 1, 2**31, size - 100_000, chance.randrange(size)):
            reader.seek(offset)
            expected = min(200_000, size - offset)
            assert reader.read(200_000) == bytes(expected)


def test_a_large_archive_that_is_one_byte_short_is_refused_at_once() -> None:
    source = SealedZeros(4 * GIB + 1)
    source.sealed_size -= 1
    with pytest.raises(ArchiveDamagedError):
        SeekableReader(source, KEY, start=0)


@pytest.mark.fault(17)
@pytest.mark.slow
def test_random_access_to_two_gibibytes_keeps_memory_flat() -> None:
    size = 2 * GIB + 1
    with SeekableReader(SealedZeros(size), KEY, start=0, threads=2) as reader:
        total, growth = count_zeros(reader)
    assert total == size
    assert growth < ALLOWED_GROWTH


@pytest.mark.fault(17)
@pytest.mark.slow
def test_four_gibibytes_in_order_keep_memory_flat() -> None:
    size = 4 * GIB + 1
    total, growth = count_zeros(ForwardReader(Intake(SealedZeros(size)), KEY))
    assert total == size
    assert growth < ALLOWED_GROWTH


@pytest.mark.fault(17)
def test_sealing_keeps_memory_flat() -> None:
    class Counter:
        total = 0

        def write(self, part: bytes | memoryview, /) -> None:
            self.total += len(part)

    sink = Counter()
    block = bytes(1 << 20)
    start = resident_bytes()
    with StreamWriter(sink, KEY) as writer:
        for _ in range(256):
            writer.write(block)
    assert sink.total == (256 << 20) + 16 * 4096
    assert resident_bytes() - start < ALLOWED_GROWTH


def test_a_sparse_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "sparse.age"
    path.write_bytes(sealed(CHUNK))
    with path.open("r+b") as file:
        file.truncate(8 * GIB)
    before = resident_bytes()
    with path.open("rb") as source, pytest.raises(ArchiveDamagedError):
        open_age(source, [IDENTITY])
    assert resident_bytes() - before < ALLOWED_GROWTH
