"""A sealed fragment opens for its device, key-id and nonce, and for nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binary_split.config import LIMITS
from binary_split.errors import ConfigError, SealedFragmentError
from binary_split.model import Fragment
from binary_split.sealedfragment import (
    Binding,
    Kem,
    PrivateKey,
    PublicKey,
    SealedFragment,
    generate_nonce,
    open_fragment,
    parse_nonce,
    seal_fragment,
)

SECRET = bytes(range(32))
BINDING = Binding("drone-7", "acme-2026", bytes(range(16)))
KEYS = {kem: PrivateKey(kem, bytes([7]) * 32) for kem in Kem}
SEALED = {kem: seal_fragment(Fragment(SECRET), PublicKey.of(KEYS[kem]), BINDING).serialise() for kem in Kem}
EXPECTED = {"device": "drone-7", "key_id": "acme-2026", "nonce": bytes(range(16))}
ONE_ERROR = "^the sealed fragment is damaged, or for another device, key or request$"
each_kem = pytest.mark.parametrize("kem", Kem)


def opened(document: bytes, kem: Kem = Kem.X25519, **expected: object) -> bytes:
    return open_fragment(SealedFragment.parse(document), KEYS[kem], **expected).reveal()  # type: ignore[arg-type]


@each_kem
def test_it_opens_for_what_it_was_sealed_for(kem: Kem) -> None:
    assert opened(SEALED[kem], kem) == SECRET
    assert opened(SEALED[kem], kem, **EXPECTED) == SECRET


@each_kem
@pytest.mark.parametrize("size", [1, 33, LIMITS.fragment_bytes])
def test_a_fragment_of_any_size_goes_through(kem: Kem, size: int) -> None:
    sealed = seal_fragment(Fragment(b"x" * size), PublicKey.of(KEYS[kem]), BINDING).serialise()
    assert opened(sealed, kem) == b"x" * size


@pytest.mark.parametrize(
    "other", [{"device": "drone-8"}, {"key_id": "acme-2027"}, {"nonce": bytes(16)}], ids=str
)
@each_kem
def test_another_device_key_or_request_is_refused_in_the_same_words(
    kem: Kem, other: dict[str, object]
) -> None:
    with pytest.raises(SealedFragmentError, match=ONE_ERROR):
        opened(SEALED[kem], kem, **EXPECTED | other)


@pytest.mark.parametrize(
    "other", [{"device": "drone-8"}, {"key_id": "acme-2027"}, {"nonce": bytes(16)}], ids=str
)
def test_a_document_that_says_it_is_for_another_does_not_open(other: dict[str, object]) -> None:
    sealed = SealedFragment.parse(SEALED[Kem.X25519])
    relabelled = replace(sealed, binding=replace(sealed.binding, **other))  # type: ignore[arg-type]
    for expected in ({}, EXPECTED, EXPECTED | other):
        with pytest.raises(SealedFragmentError, match=ONE_ERROR):
            opened(relabelled.serialise(), **expected)


@each_kem
def test_another_devices_key_is_refused_in_the_same_words(kem: Kem) -> None:
    for other in Kem:
        with pytest.raises(SealedFragmentError, match=ONE_ERROR):
            open_fragment(SealedFragment.parse(SEALED[kem]), PrivateKey.generate(other))


@each_kem
@given(flips=st.data())
def test_any_flipped_byte_is_refused_with_one_error(kem: Kem, flips: st.DataObject) -> None:
    document = bytearray(SEALED[kem])
    at = flips.draw(st.integers(0, len(document) - 1))
    document[at] ^= flips.draw(st.integers(1, 255))
    with pytest.raises(SealedFragmentError):
        opened(bytes(document), kem)


def test_every_bit_of_the_small_document_counts() -> None:
    whole = SEALED[Kem.X25519]
    for at in range(len(whole)):
        for bit in range(8):
            document = bytearray(whole)
            document[at] ^= 1 << bit
            with pytest.raises(SealedFragmentError):
                opened(bytes(document))


@given(document=st.binary(max_size=300))
def test_foreign_bytes_are_refused_with_one_error(document: bytes) -> None:
    with pytest.raises(SealedFragmentError):
        SealedFragment.parse(document)


def members() -> dict[str, object]:
    document: dict[str, object] = json.loads(SEALED[Kem.X25519])
    return document


def written(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"v": 1.0},
        {"v": "1"},
        {"kem": "p256"},
        {"kem": None},
        {"device": "../x"},
        {"device": 5},
        {"device": ["a"]},
        {"key_id": ""},
        {"key_id": "a" * 65},
        {"nonce": "AAAA"},
        {"nonce": "A" * 100},
        {"nonce": members()["nonce"] + "=="},  # type: ignore[operator]
        {"sealed": 1},
        {"sealed": ""},
        {"sealed": "QQ"},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_member_that_is_not_as_written_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(SealedFragmentError):
        opened(written(members() | change))


@pytest.mark.parametrize("name", members())
def test_a_missing_member_is_refused(name: str) -> None:
    document = members()
    del document[name]
    with pytest.raises(SealedFragmentError):
        opened(written(document))


@pytest.mark.parametrize(
    "document",
    [
        b" " + SEALED[Kem.X25519],
        SEALED[Kem.X25519] + b"\n",
        SEALED[Kem.X25519][:-1] + b',"v":1}',
        json.dumps(members()).encode(),
        b"[" * 50_000,
        b"null",
        written([members()]),
    ],
    ids=["space", "line end", "member twice", "spaces", "depth", "null", "list"],
)
def test_another_spelling_is_refused(document: bytes) -> None:
    with pytest.raises(SealedFragmentError):
        SealedFragment.parse(document)


def test_a_document_beyond_the_cap_is_not_even_parsed() -> None:
    huge = replace(SealedFragment.parse(SEALED[Kem.X25519]), sealed=bytes(LIMITS.sealed_fragment_bytes))
    with pytest.raises(SealedFragmentError):
        SealedFragment.parse(huge.serialise())


def test_a_fragment_of_no_bytes_is_none() -> None:
    sealed = seal_fragment(Fragment(b""), PublicKey.of(KEYS[Kem.X25519]), BINDING)
    with pytest.raises(SealedFragmentError):
        opened(sealed.serialise())


@pytest.mark.parametrize(
    "binding",
    [Binding("", "k", bytes(16)), Binding("d", "K", bytes(16)), Binding("d", "k", bytes(15))],
    ids=["device", "key-id", "nonce"],
)
def test_nothing_is_sealed_for_a_malformed_binding(binding: Binding) -> None:
    with pytest.raises(ConfigError):
        seal_fragment(Fragment(SECRET), PublicKey.of(KEYS[Kem.X25519]), binding)


def test_each_part_of_info_is_behind_its_length() -> None:
    expected = b"binary-split/v1 sealed fragment\0\7drone-7\0\tacme-2026\0\x10" + bytes(range(16))
    assert BINDING.info() == expected
    assert Binding("a", "bc", bytes(16)).info() != Binding("ab", "c", bytes(16)).info()


def test_sealing_twice_gives_two_documents() -> None:
    public = PublicKey.of(KEYS[Kem.X25519])
    one, two = (seal_fragment(Fragment(SECRET), public, BINDING).sealed for _ in range(2))
    assert one[:32] != two[:32]


def test_nonces_are_long_enough_and_never_the_same() -> None:
    nonces = {generate_nonce() for _ in range(100)}
    assert {len(nonce) for nonce in nonces} == {16}
    assert len(nonces) == 100


@pytest.mark.parametrize("text", ["", "A" * 20, "A" * 87, "A" * 21 + "=", "A" * 21 + "B", "ä" * 22])
def test_a_nonce_that_is_short_long_or_not_canonical_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"nonce|canonical"):
        parse_nonce(text)


def test_nothing_of_a_secret_is_shown() -> None:
    key = KEYS[Kem.X25519]
    assert "7, 7" not in f"{key!r}{key}"
    assert "masked" in repr(key)
    with pytest.raises(TypeError):
        key.__reduce__()
