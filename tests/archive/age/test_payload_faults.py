"""What is damaged, cut, or put together anew is refused, and releases at most the verified prefix."""

from __future__ import annotations

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from binary_split.archive.age import open_age, open_age_stream
from binary_split.errors import ArchiveDamagedError, ArchiveFormatError, BinarySplitError
from tests.archive.age.kit import (
    CHUNK,
    IDENTITY,
    SEALED,
    Pipe,
    chunks_of,
    drain,
    header_size,
    payload,
    sealed,
)

SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 100)
REFUSALS = (ArchiveDamagedError, ArchiveFormatError)


def released_forward(raw: bytes) -> tuple[bytes, BinarySplitError | None]:
    try:
        return drain(open_age_stream(Pipe(raw), [IDENTITY]))
    except BinarySplitError as error:
        return b"", error


def released_by_random_access(raw: bytes) -> tuple[bytes, BinarySplitError | None]:
    try:
        reader = open_age(io.BytesIO(raw), [IDENTITY], threads=2)
    except BinarySplitError as error:
        return b"", error
    with reader:
        return drain(reader)


def assert_refused(raw: bytes, plaintext: bytes, *, verified: int | None = None) -> None:
    """Assert that both readers refuse, and release nothing but a prefix (of at most ``verified`` bytes)."""
    for read in (released_forward, released_by_random_access):
        released, error = read(raw)
        assert isinstance(error, REFUSALS)
        assert plaintext.startswith(released)
        if verified is not None:
            assert len(released) <= verified


@pytest.mark.parametrize("size", SIZES)
def test_whole_archives_are_read_whole(size: int) -> None:
    assert released_forward(sealed(size)) == (payload(size), None)
    assert released_by_random_access(sealed(size)) == (payload(size), None)


@pytest.mark.fault(9)
def test_every_flipped_byte_of_the_header_releases_nothing() -> None:
    raw = sealed(100)
    for at in range(header_size(raw)):
        for bit in (0x01, 0x20, 0x80):
            bad = bytearray(raw)
            bad[at] ^= bit
            assert_refused(bytes(bad), b"")


@pytest.mark.fault(10)
def test_every_flipped_byte_of_the_nonce_releases_nothing() -> None:
    raw = sealed(3 * CHUNK)
    for at in range(header_size(raw), header_size(raw) + 16):
        bad = bytearray(raw)
        bad[at] ^= 1
        assert_refused(bytes(bad), b"")


@pytest.mark.fault(10)
@pytest.mark.parametrize("chunk", range(4))
@pytest.mark.parametrize("within", [0, 1, CHUNK - 1, CHUNK, SEALED - 1])
def test_a_flipped_payload_byte_releases_only_the_chunks_before_it(chunk: int, within: int) -> None:
    size = 4 * CHUNK
    bad = bytearray(sealed(size))
    bad[header_size(sealed(size)) + 16 + chunk * SEALED + within] ^= 0x40
    assert released_forward(bytes(bad))[0] == payload(size)[: chunk * CHUNK]
    assert_refused(bytes(bad), payload(size), verified=chunk * CHUNK)


@pytest.mark.fault(11)
@pytest.mark.parametrize("size", [3 * CHUNK, 3 * CHUNK + 100])
def test_truncation_around_each_chunk_boundary_is_noticed(size: int) -> None:
    raw = sealed(size)
    for boundary in range(4):
        for offset in (-16, -1, 0, 1, 16):
            end = header_size(raw) + 16 + boundary * SEALED + offset
            if end < len(raw):
                assert_refused(raw[:end], payload(size), verified=boundary * CHUNK)
                assert released_by_random_access(raw[:end])[0] == b""


def test_sixteen_bytes_that_are_no_tag_are_not_an_empty_payload() -> None:
    raw = sealed(0)
    assert_refused(raw[:-1] + bytes([raw[-1] ^ 1]), b"")


@pytest.mark.fault(12)
@pytest.mark.parametrize(
    "order",
    [(0, 2), (1, 2), (0, 1), (0, 1, 1, 2), (0, 0, 1, 2), (1, 0, 2), (0, 2, 1), (0, 1, 2, 2), (2,), ()],
    ids=str,
)
@pytest.mark.parametrize("size", [3 * CHUNK, 2 * CHUNK + 100])
def test_chunks_dropped_doubled_or_swapped_are_refused(order: tuple[int, ...], size: int) -> None:
    head, chunks = chunks_of(sealed(size))
    bad = head + b"".join(chunks[index] for index in order)
    assert_refused(bad, payload(size))


@pytest.mark.fault(13)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "extra", [b"\0", bytes(16), bytes(SEALED), b"file"], ids=["1", "16", "chunk", "file"]
)
def test_whatever_is_appended_is_noticed_before_the_end(size: int, extra: bytes) -> None:
    extra = sealed(100) if extra == b"file" else extra
    assert_refused(sealed(size) + extra, payload(size))
    assert released_by_random_access(sealed(size) + extra)[0] == b""


def test_a_failed_forward_reader_keeps_failing() -> None:
    reader = open_age_stream(Pipe(sealed(CHUNK + 1)[:-1]), [IDENTITY])
    assert reader.read(2 * CHUNK) == payload(CHUNK + 1)[:CHUNK]
    for _ in range(2):
        with pytest.raises(ArchiveDamagedError):
            reader.read(1)


def test_reading_all_returns_nothing_of_a_damaged_payload() -> None:
    bad = bytearray(sealed(4 * CHUNK))
    bad[-2 * SEALED] ^= 1
    for reader in (
        open_age_stream(Pipe(bytes(bad)), [IDENTITY]),
        open_age(io.BytesIO(bad), [IDENTITY]),
    ):
        with reader, pytest.raises(ArchiveDamagedError):
            reader.readall()


@pytest.mark.fault(7)
def test_wrong_fragment_and_damage_are_told_in_the_same_words() -> None:
    flipped = bytearray(sealed(100))
    flipped[-1] ^= 1
    bad_mac = bytearray(sealed(100))
    at = header_size(sealed(100)) - 10
    bad_mac[at] = ord("A") if bad_mac[at] != ord("A") else ord("B")
    messages = {str(released_forward(bytes(each))[1]) for each in (flipped, bad_mac)}
    assert messages == {"wrong fragment or damaged archive"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    size=st.sampled_from((1, CHUNK, 2 * CHUNK + 77)),
    edit=st.sampled_from(("flip", "cut", "append", "insert", "delete")),
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=1, max_size=40),
)
def test_any_edit_is_refused(size: int, edit: str, place: float, junk: bytes) -> None:
    raw = sealed(size)
    at = int(place * len(raw))
    bad = {
        "flip": raw[:at] + bytes([raw[at] ^ (junk[0] or 1)]) + raw[at + 1 :],
        "cut": raw[:at],
        "append": raw + junk,
        "insert": raw[:at] + junk + raw[at:],
        "delete": raw[:at] + raw[at + len(junk) :],
    }[edit]
    if bad != raw:
        assert_refused(bad, payload(size))


@pytest.mark.fault(12)
@settings(max_examples=40, deadline=None)
@given(st.permutations(range(4)))
def test_any_order_of_chunks_but_the_right_one_is_refused(order: list[int]) -> None:
    size = 4 * CHUNK
    head, chunks = chunks_of(sealed(size))
    raw = head + b"".join(chunks[index] for index in order)
    if order == sorted(order):
        assert released_forward(raw) == (payload(size), None)
    else:
        right = next(at for at, index in enumerate(order) if at != index)
        assert_refused(raw, payload(size), verified=right * CHUNK)
