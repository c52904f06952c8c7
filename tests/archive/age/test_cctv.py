"""The C2SP test vectors for age: every one, through every way of reading."""

from __future__ import annotations

import hashlib
import io
import zlib
from dataclasses import dataclass
from functools import cache

import pytest

from binary_split.archive.age import (
    Identity,
    PassphraseIdentity,
    StreamWriter,
    open_age,
    open_age_stream,
    parse_header,
    parse_identity,
    read_header,
)
from binary_split.archive.age.armor import ArmorReader
from binary_split.archive.age.crypto import header_mac, payload_key
from binary_split.archive.age.stream import PayloadReader
from binary_split.errors import ArchiveDamagedError, ArchiveFormatError, BinarySplitError
from tests.archive.age.kit import CHUNK, VECTORS, Pipe, drain, header_size

FOLDER = VECTORS / "cctv-age"
EMPTY = hashlib.sha256(b"").hexdigest()
ERRORS: dict[str, type[BinarySplitError]] = {
    "no match": ArchiveDamagedError,
    "HMAC failure": ArchiveDamagedError,
    "payload failure": ArchiveDamagedError,
    "header failure": ArchiveFormatError,
    "armor failure": ArchiveFormatError,
}
UNSUPPORTED: dict[str, str] = {}
"""Vectors that need a primitive that the cryptography library lacks, and which."""
MIDDLE_CHUNK_CLAIMS_TO_BE_FINAL = {
    "stream_two_final_chunks",
    "stream_two_final_chunks_full",
    "stream_two_final_chunks_second",
}
"""Random access knows the true end, so it does not release that chunk; a forward reader must."""


@dataclass(frozen=True)
class Vector:
    name: str
    expect: str
    payload: str
    file_key: bytes
    identities: tuple[Identity, ...]
    armored: bool
    raw: bytes


@cache
def load(name: str) -> Vector:
    head, _, raw = (FOLDER / "testdata" / name).read_bytes().partition(b"\n\n")
    fields: dict[str, list[str]] = {}
    for line in head.decode().splitlines():
        key, _, value = line.partition(": ")
        fields.setdefault(key, []).append(value)
    known = {
        "expect",
        "payload",
        "file key",
        "identity",
        "passphrase",
        "armored",
        "comment",
        "compressed",
    }
    assert fields.keys() <= known
    identities: list[Identity] = [parse_identity(text) for text in fields.get("identity", [])]
    identities += [PassphraseIdentity(text) for text in fields.get("passphrase", [])]
    return Vector(
        name,
        fields["expect"][0],
        fields.get("payload", [EMPTY])[0],
        bytes.fromhex(fields["file key"][0]),
        tuple(identities),
        "armored" in fields,
        zlib.decompress(raw) if "compressed" in fields else raw,
    )


NAMES = sorted(path.name for path in (FOLDER / "testdata").iterdir())


def of_class(*classes: str) -> list[str]:
    return [name for name in NAMES if load(name).expect in classes]


def released_by(reader: PayloadReader) -> tuple[str, BinarySplitError | None]:
    released, error = drain(reader)
    return hashlib.sha256(released).hexdigest(), error


def test_all_vectors_are_here_unchanged() -> None:
    rows = (line.split() for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    sums = {name: digest for digest, name in rows}
    found = {name: hashlib.sha256((FOLDER / "testdata" / name).read_bytes()).hexdigest() for name in NAMES}
    assert found == sums
    assert len(NAMES) == 143


def test_no_vector_is_left_out() -> None:
    assert UNSUPPORTED == {}


@pytest.mark.fault(9, 10, 11, 12, 13, 14)
@pytest.mark.parametrize("name", NAMES)
def test_the_forward_reader_releases_what_the_vector_says(name: str) -> None:
    vector = load(name)
    if vector.expect in ("no match", "HMAC failure", "header failure"):
        with pytest.raises(ERRORS[vector.expect]) as caught:
            open_age_stream(Pipe(vector.raw), vector.identities)
        assert type(caught.value) is ERRORS[vector.expect]
        return
    try:
        reader = open_age_stream(Pipe(vector.raw), vector.identities)
    except ArchiveFormatError:
        assert vector.expect == "armor failure"
        return
    digest, error = released_by(reader)
    assert type(error) is ERRORS.get(vector.expect, type(None))
    if vector.expect != "armor failure":
        assert digest == vector.payload


@pytest.mark.parametrize("name", of_class("success"))
def test_random_access_releases_every_payload(name: str) -> None:
    vector = load(name)
    with open_age(io.BytesIO(vector.raw), vector.identities) as reader:
        assert released_by(reader) == (vector.payload, None)


@pytest.mark.parametrize("name", of_class("no match", "HMAC failure", "header failure", "armor failure"))
def test_random_access_refuses_a_bad_header_or_armor_at_once(name: str) -> None:
    vector = load(name)
    with pytest.raises(ERRORS[vector.expect]) as caught:
        open_age(io.BytesIO(vector.raw), vector.identities)
    assert type(caught.value) is ERRORS[vector.expect]


@pytest.mark.parametrize("name", of_class("payload failure"))
def test_random_access_releases_the_verified_prefix_or_refuses_at_once(name: str) -> None:
    vector = load(name)
    expected, _ = drain(open_age_stream(Pipe(vector.raw), vector.identities))
    try:
        reader = open_age(io.BytesIO(vector.raw), vector.identities)
    except ArchiveDamagedError:
        assert name not in MIDDLE_CHUNK_CLAIMS_TO_BE_FINAL
        return
    released, error = drain(reader)
    reader.close()
    assert type(error) is ArchiveDamagedError
    assert name in MIDDLE_CHUNK_CLAIMS_TO_BE_FINAL
    assert expected.startswith(released)
    assert len(released) == len(expected) - CHUNK


@pytest.mark.parametrize("name", of_class("success", "no match", "HMAC failure", "payload failure"))
def test_every_header_that_parses_is_written_again_byte_for_byte(name: str) -> None:
    vector = load(name)
    raw = ArmorReader(Pipe(vector.raw)).read(1 << 22) if vector.armored else vector.raw
    header = parse_header(raw[: header_size(raw)])
    assert header.serialise() == raw[: header_size(raw)]
    assert read_header(Pipe(vector.raw)) == header
    assert (header_mac(vector.file_key, header.covered()) == header.mac) == (vector.expect != "HMAC failure")


@pytest.mark.parametrize("name", of_class("success"))
def test_every_payload_is_encrypted_again_byte_for_byte(name: str) -> None:
    vector = load(name)
    raw = ArmorReader(Pipe(vector.raw)).read(1 << 22) if vector.armored else vector.raw
    start = header_size(raw)
    plaintext = open_age_stream(Pipe(vector.raw), vector.identities).readall()
    sink = io.BytesIO()
    with StreamWriter(sink, payload_key(vector.file_key, raw[start : start + 16])) as writer:
        writer.write(plaintext)
    assert sink.getvalue() == raw[start + 16 :]


@pytest.mark.parametrize("name", of_class("header failure"))
def test_the_raw_header_alone_never_raises_anything_foreign(name: str) -> None:
    try:
        read_header(Pipe(load(name).raw))
    except ArchiveFormatError:
        return
