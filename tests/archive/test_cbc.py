"""The ``cbc`` format: what is sealed comes out again, and what cannot be an archive never does."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from binary_split.archive.cbc import BLOCK, CbcReader, CbcWriter, derive_key, iter_plaintext
from binary_split.archive.detect import HEAD_BYTES, ArchiveFormat, detect_format, read_format
from binary_split.config import LIMITS
from binary_split.errors import ArchiveDamagedError, ArchiveUnreadableError, BinarySplitError
from binary_split.model import Fragment
from binary_split.transports.file import FileSource
from tests.sealed import seal_same

FRAGMENT = Fragment(b"\x00a fragment\r\n\xff")
WRONG = Fragment(b"\x00a fragment\n\xff")
WORDS = "wrong fragment or damaged archive"
VECTORS = Path(__file__).parents[1] / "vectors" / "wycheproof" / "aes_cbc_pkcs5_test.json"
CHUNK = 64
EDGES = (0, 1, 15, 16, 17, 31, 32, 33, 512, 10_240)
CHUNK_EDGES = tuple(LIMITS.chunk_bytes * n + d for n in (1, 2) for d in (-17, -16, -1, 0, 1, 15, 16, 17))

Open = Callable[[bytes, Fragment], bytes]


def seal(plaintext: bytes, fragment: Fragment = FRAGMENT, *, parts: Iterable[int] = ()) -> bytes:
    sink = io.BytesIO()
    writer = CbcWriter(sink, fragment)
    rest = plaintext
    for part in parts:
        writer.write(rest[:part])
        rest = rest[part:]
    writer.write(rest)
    writer.finish()
    return sink.getvalue()


def read_seekable(archive: bytes, fragment: Fragment = FRAGMENT) -> bytes:
    return CbcReader(io.BytesIO(archive), fragment).read()


def read_chunks(archive: bytes, fragment: Fragment = FRAGMENT) -> bytes:
    return b"".join(map(bytes, CbcReader(io.BytesIO(archive), fragment).chunks()))


def read_forward(archive: bytes, fragment: Fragment = FRAGMENT) -> bytes:
    return b"".join(map(bytes, iter_plaintext(io.BytesIO(archive), fragment)))


READERS: dict[str, Open] = {"seekable": read_seekable, "chunks": read_chunks, "forward": read_forward}


def outcome(read: Open, archive: bytes, fragment: Fragment = FRAGMENT) -> bytes | ArchiveDamagedError:
    """Return the plaintext, or the refusal; any other error is a failure of the test."""
    try:
        return read(archive, fragment)
    except BinarySplitError as error:
        assert isinstance(error, ArchiveDamagedError)  # noqa: PT017 - some are archives by chance
        return error


every_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("binary_split.archive.cbc.LIMITS", replace(LIMITS, chunk_bytes=CHUNK))


class Dribble(io.RawIOBase):
    """Gives few bytes at a time, as a pipe does."""

    def __init__(self, content: bytes, step: int) -> None:
        super().__init__()
        self._content = io.BytesIO(content)
        self._step = step

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._content.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        return self._content.readinto(memoryview(buffer)[: self._step])


# What is sealed comes out again


@every_reader
@pytest.mark.parametrize("size", EDGES + CHUNK_EDGES)
def test_what_was_sealed_comes_out(read: Open, size: int) -> None:
    plaintext = random.Random(size).randbytes(size)
    archive = seal(plaintext)
    assert len(archive) == BLOCK + (size // BLOCK + 1) * BLOCK
    assert read(archive, FRAGMENT) == plaintext


@given(st.binary(max_size=400), st.lists(st.integers(0, 100), max_size=8), st.integers(1, 100))
def test_it_does_not_matter_in_which_pieces_bytes_come(plaintext: bytes, parts: list[int], step: int) -> None:
    archive = seal(plaintext, parts=parts)
    assert CbcReader(Dribble(archive, step), FRAGMENT).readall() == plaintext
    assert b"".join(map(bytes, iter_plaintext(Dribble(archive, step), FRAGMENT))) == plaintext


@pytest.mark.usefixtures("small_chunks")
def test_any_seek_and_read_equals_the_slice() -> None:
    plaintext = random.Random(1).randbytes(5 * CHUNK + 7)
    reader = CbcReader(io.BytesIO(seal(plaintext)), FRAGMENT)
    assert (reader.readable(), reader.seekable(), reader.size) == (True, True, len(plaintext))
    position = st.integers(0, len(plaintext) + 40)

    @settings(max_examples=300)
    @given(st.lists(st.tuples(position, st.integers(0, 3 * CHUNK)), max_size=6))
    @example([(0, 1), (CHUNK, CHUNK), (CHUNK - 1, 2), (2 * CHUNK, 1), (len(plaintext), 1)])
    def compare(steps: list[tuple[int, int]]) -> None:
        for start, length in steps:
            assert reader.seek(start) == reader.tell() == start
            buffered = io.BufferedReader(reader, 40)
            assert buffered.read(length) == plaintext[start : start + length]
            buffered.detach()

    compare()


@pytest.mark.parametrize(
    ("start", "size", "blocks"), [(0, 1, 2), (0, 16, 2), (0, 17, 3), (15, 2, 3), (16, 16, 2), (40, 100, 8)]
)
def test_a_stretch_costs_its_blocks_and_the_one_before(start: int, size: int, blocks: int) -> None:
    reader = CbcReader(io.BytesIO(seal(bytes(200))), FRAGMENT)
    assert reader.sealed_bytes(start, size) == blocks * BLOCK


def test_seek_counts_from_start_position_and_end() -> None:
    reader = CbcReader(io.BytesIO(seal(b"0123456789" * 5)), FRAGMENT)
    assert reader.seek(-3, os.SEEK_END) == 47
    assert reader.read() == b"789"
    reader.seek(10)
    assert reader.seek(5, os.SEEK_CUR) == 15
    assert reader.read(3) == b"567"
    with pytest.raises(ValueError, match="negative"):
        reader.seek(-1)
    assert reader.tell() == 18


def test_a_read_that_failed_can_be_tried_again() -> None:
    class Flaky(io.BytesIO):
        fails = False

        def readinto(self, buffer: Any, /) -> int:
            if self.fails:
                super().readinto(memoryview(buffer)[:7])
                raise ArchiveUnreadableError("the medium fails")
            return super().readinto(buffer)

    plaintext = random.Random(2).randbytes(2 * LIMITS.chunk_bytes)
    source = Flaky(seal(plaintext))
    reader = CbcReader(source, FRAGMENT)
    assert reader.read(LIMITS.chunk_bytes) == plaintext[: LIMITS.chunk_bytes]
    source.fails = True
    with pytest.raises(ArchiveUnreadableError):
        reader.read(1)
    source.fails = False
    assert reader.read() == plaintext[LIMITS.chunk_bytes :]


def test_the_key_is_the_sha256_of_the_fragments_exact_bytes() -> None:
    for value in (b"", b"x", b"text\r\n", bytes(70_000)):
        assert derive_key(Fragment(value)) == hashlib.sha256(value).digest()


def test_every_archive_has_a_random_iv() -> None:
    archives = [seal(b"the same bytes") for _ in range(50)]
    assert len({archive[:BLOCK] for archive in archives}) == 50
    assert len({archive[BLOCK:] for archive in archives}) == 50


def test_an_unfinished_writer_leaves_no_archive() -> None:
    sink = io.BytesIO()
    CbcWriter(sink, FRAGMENT).write(bytes(12))
    with pytest.raises(ArchiveDamagedError):
        read_seekable(sink.getvalue())


# Others agree


@pytest.mark.parametrize("size", [0, 1, 16, 100_003])
def test_openssl_opens_ours_and_we_open_openssls(program: Callable[[str], Path], size: int) -> None:
    plaintext = random.Random(size).randbytes(size)
    key = hashlib.sha256(FRAGMENT.reveal()).hexdigest()

    def openssl(mode: str, iv: bytes, content: bytes) -> bytes:
        command: list[str | Path] = [
            program("openssl"),
            "enc",
            "-aes-256-cbc",
            mode,
            "-K",
            key,
            "-iv",
            iv.hex(),
        ]
        return subprocess.run(command, input=content, capture_output=True, check=True).stdout

    archive = seal(plaintext)
    assert openssl("-d", archive[:BLOCK], archive[BLOCK:]) == plaintext
    iv = os.urandom(BLOCK)
    theirs = iv + openssl("-e", iv, plaintext)
    assert [read(theirs, FRAGMENT) for read in READERS.values()] == [plaintext] * 3


def wycheproof() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the AES-256 vectors, and the others: a ``cbc`` key is a SHA-256, never of another size."""
    groups = json.loads(VECTORS.read_text())["testGroups"]
    ours = [test for group in groups for test in group["tests"] if group["keySize"] == 256]
    others = [test for group in groups for test in group["tests"] if group["keySize"] != 256]
    return ours, others


OURS, OTHERS = wycheproof()
every_vector = pytest.mark.parametrize("vector", OURS, ids=lambda vector: vector["tcId"])


@pytest.fixture
def raw_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fragment be the AES key itself: the vectors state keys, not what a key is derived from."""
    monkeypatch.setattr("binary_split.archive.cbc.derive_key", Fragment.reveal)


def test_all_aes_256_vectors_are_run_and_only_other_key_sizes_are_not() -> None:
    assert (len(OURS), len(OTHERS)) == (72, 144)
    assert {len(vector["key"]) for vector in OTHERS} == {32, 48}
    assert sum(vector["result"] == "invalid" for vector in OURS) == 48


@every_vector
@every_reader
@pytest.mark.usefixtures("raw_keys")
def test_wycheproof_vector_reads_as_it_must(vector: dict[str, Any], read: Open) -> None:
    archive = bytes.fromhex(vector["iv"] + vector["ct"])
    key = Fragment(bytes.fromhex(vector["key"]))
    if vector["result"] == "valid":
        assert read(archive, key) == bytes.fromhex(vector["msg"])
    else:
        with pytest.raises(ArchiveDamagedError, match=WORDS):
            read(archive, key)


@every_vector
@pytest.mark.usefixtures("raw_keys")
def test_wycheproof_vector_is_written_byte_for_byte(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("binary_split.archive.cbc.os.urandom", lambda _size: bytes.fromhex(vector["iv"]))
    archive = seal(bytes.fromhex(vector["msg"]), Fragment(bytes.fromhex(vector["key"])))
    is_equal = archive == bytes.fromhex(vector["iv"] + vector["ct"])
    assert is_equal == (vector["result"] == "valid")


# What cannot be an archive


@pytest.mark.fault(1, 2, 3)
@every_reader
@pytest.mark.parametrize("size", [*range(32), 33, 47, 49, 1000, LIMITS.chunk_bytes + 1])
def test_an_impossible_length_is_refused(read: Open, size: int) -> None:
    with pytest.raises(ArchiveDamagedError, match=f"{WORDS}: none is {size} bytes long"):
        read(bytes(size), FRAGMENT)
    assert detect_format(bytes(min(size, 64)), size) is ArchiveFormat.UNKNOWN


@pytest.mark.fault(4)
@every_reader
@pytest.mark.usefixtures("small_chunks")
def test_a_cut_at_a_block_is_refused_or_leaves_a_possible_padding(read: Open) -> None:
    plaintext = random.Random(3).randbytes(12_000)
    archive = seal(plaintext)
    survived = 0
    for size in range(2 * BLOCK, len(archive), BLOCK):
        cut = plaintext[: size - BLOCK]
        padding = cut[-1]
        is_possible = 1 <= padding <= BLOCK and cut.endswith(bytes([padding]) * padding)
        found = outcome(read, archive[:size])
        assert found == cut[:-padding] if is_possible else str(found) == WORDS
        survived += is_possible
    assert survived < 20, "about 1 cut in 250 leaves a possible padding by chance"


@pytest.mark.fault(7)
@pytest.mark.usefixtures("small_chunks")
def test_wrong_fragment_and_damage_are_told_in_the_same_words() -> None:
    archive = seal_same(bytes(4 * CHUNK), FRAGMENT.reveal())
    damaged = bytearray(archive)
    damaged[-BLOCK - 1] ^= 0x80
    messages = set()
    hints = set()
    for read in READERS.values():
        for content, fragment in ((archive, WRONG), (bytes(damaged), FRAGMENT), (archive[:-BLOCK], FRAGMENT)):
            with pytest.raises(ArchiveDamagedError) as caught:
                read(content, fragment)
            messages.add(str(caught.value))
            hints.add(caught.value.hint)
            assert caught.value.__cause__ is caught.value.__context__ is None
    assert messages == {WORDS}
    assert len(hints) == 1


@pytest.mark.fault(7)
def test_a_wrong_fragment_is_noticed_before_a_byte_is_released() -> None:
    archive = seal_same(bytes(3 * LIMITS.chunk_bytes), FRAGMENT.reveal())
    source = io.BytesIO(archive)
    with pytest.raises(ArchiveDamagedError):
        CbcReader(source, WRONG)
    assert source.tell() == len(archive)  # it has read the last block only


@pytest.mark.fault(7)
@pytest.mark.usefixtures("small_chunks")
def test_about_one_wrong_fragment_in_250_leaves_a_possible_padding_and_garbage() -> None:
    archive = seal_same(plaintext := b"a tar" * 20, FRAGMENT.reveal())
    found = [outcome(read_seekable, archive, Fragment(number.to_bytes(2))) for number in range(2000)]
    survivors = [each for each in found if isinstance(each, bytes)]
    assert {str(each) for each in found if not isinstance(each, bytes)} == {WORDS}
    assert 0 < len(survivors) < 40
    assert plaintext not in survivors


@every_reader
@settings(max_examples=150)
@given(content=st.binary(max_size=200), blocks=st.integers(0, 6))
def test_any_bytes_as_an_archive_raise_only_our_errors(read: Open, content: bytes, blocks: int) -> None:
    for archive in (content, content[: len(content) // BLOCK * BLOCK] + bytes(blocks * BLOCK)):
        outcome(read, archive)


# The source fails


@pytest.mark.fault(25)
def test_an_archive_that_becomes_shorter_while_read_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(seal(bytes(12 * LIMITS.chunk_bytes)))
    with FileSource(path) as source:
        chunks = CbcReader(source, FRAGMENT).chunks()
        next(chunks)
        os.truncate(path, LIMITS.chunk_bytes + 3 * BLOCK)
        with pytest.raises(ArchiveUnreadableError, match="became shorter"):
            list(chunks)


@pytest.mark.fault(25)
def test_an_archive_cut_to_nothing_while_read_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(seal(bytes(3 * LIMITS.chunk_bytes)))
    with FileSource(path) as source:
        reader = CbcReader(source, FRAGMENT)
        os.truncate(path, 0)
        for start in (0, 5, reader.size // 2):
            reader.seek(start)
            with pytest.raises(ArchiveUnreadableError, match="became shorter"):
                reader.read(1)


# Formats are told by content


@pytest.mark.parametrize(
    ("head", "size", "expected"),
    [
        (b"age-encryption.org/v1\n-> X25519 ", 1000, ArchiveFormat.AGE),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", 1000, ArchiveFormat.AGE),
        (b"age-encryption.org/v2\n" + bytes(10), 32, ArchiveFormat.CBC),
        (bytes(32), 32, ArchiveFormat.CBC),
        (bytes(64), (1 << 40) + 16, ArchiveFormat.CBC),
        (b"", 0, ArchiveFormat.UNKNOWN),
        (bytes(16), 16, ArchiveFormat.UNKNOWN),
        (bytes(64), 1001, ArchiveFormat.UNKNOWN),
    ],
)
def test_the_format_is_told_by_content(head: bytes, size: int, expected: ArchiveFormat) -> None:
    assert detect_format(head, size) is expected


def test_of_a_whole_archive_its_first_bytes_tell_the_format() -> None:
    asked: list[int | None] = []

    class Asked(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(size)
            return super().read(size)

    source = Asked(bytes(4096))
    assert read_format(source) is ArchiveFormat.CBC
    assert source.tell() == 0
    assert asked == [HEAD_BYTES]
