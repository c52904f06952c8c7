"""ASCII armor: strict, bounded, and any edit of it is refused."""

from __future__ import annotations

import base64
import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binary_split.archive.age import open_age, open_age_stream
from binary_split.archive.age.armor import BEGIN, END, ArmorReader
from binary_split.config import LIMITS
from binary_split.errors import ArchiveDamagedError, ArchiveFormatError
from tests.archive.age.kit import CHUNK, IDENTITY, Pipe, drain, payload, sealed


def armored(raw: bytes, *, eol: bytes = b"\n") -> bytes:
    text = base64.b64encode(raw)
    rows = [text[at : at + 64] for at in range(0, len(text), 64)]
    return eol.join([BEGIN, *rows, END, b""])


@given(raw=st.binary(max_size=300), eol=st.sampled_from((b"\n", b"\r\n")), at_most=st.integers(1, 90))
def test_whatever_is_armored_is_read_back(raw: bytes, eol: bytes, at_most: int) -> None:
    reader = ArmorReader(Pipe(b"\n \r\n" + armored(raw, eol=eol) + b"\t\n", at_most=at_most))
    parts = []
    while part := reader.read(37):
        parts.append(part)
    assert b"".join(parts) == raw


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_an_armored_archive_is_read_by_both_readers(size: int) -> None:
    text = armored(sealed(size))
    assert drain(open_age_stream(Pipe(text), [IDENTITY])) == (payload(size), None)
    with open_age(io.BytesIO(text), [IDENTITY]) as reader:
        assert drain(reader) == (payload(size), None)


@given(place=st.floats(0, 1, exclude_max=True), octet=st.integers(0, 255))
def test_any_flipped_byte_of_armor_is_refused_or_white_space(place: float, octet: int) -> None:
    text = bytearray(armored(sealed(200)))
    at = int(place * len(text))
    before, text[at] = text[at], octet
    released = b""
    try:
        released, error = drain(open_age_stream(Pipe(bytes(text)), [IDENTITY]))
    except (ArchiveDamagedError, ArchiveFormatError) as refused:
        error = refused
    if before == octet or at == len(text) - 1:
        assert error is None or isinstance(error, ArchiveFormatError)
    else:
        assert isinstance(error, (ArchiveDamagedError, ArchiveFormatError))
        assert released in (b"", payload(200))


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text[: -len(END) - 1],
        lambda text: text[:-5],
        lambda text: text + b"x",
        lambda text: text + b"\n" * 2000,
        lambda text: b"\n" * 2000 + text,
        lambda text: b" " + text,
        lambda text: text + text,
        lambda text: text.replace(END, b"\n" + END),
        lambda text: text.replace(b"\n", b" \n"),
        lambda text: text.replace(b"\n", b"\r\r\n"),
        lambda text: text.replace(BEGIN, BEGIN + b"\nComment: none\n"),
    ],
)
def test_a_malformed_armor_is_refused(edit: object) -> None:
    assert callable(edit)
    text = edit(armored(sealed(200)))
    with pytest.raises(ArchiveFormatError):
        open_age(io.BytesIO(text), [IDENTITY])
    with pytest.raises(ArchiveFormatError):
        open_age_stream(Pipe(text), [IDENTITY]).readall()


def test_armor_too_large_for_memory_is_refused_for_random_access_only() -> None:
    limits = dataclasses.replace(LIMITS, age_armor_bytes=CHUNK)
    text = armored(sealed(CHUNK))
    with pytest.raises(ArchiveFormatError, match="too large"):
        open_age(io.BytesIO(text), [IDENTITY], limits=limits)
    assert open_age_stream(Pipe(text), [IDENTITY], limits=limits).readall() == payload(CHUNK)
