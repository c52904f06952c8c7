"""Project Wycheproof's vectors, through the primitives as the codec calls them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from binary_split.archive.age.crypto import derive_key, exchange_x25519
from binary_split.archive.age.stream import CHUNK_BYTES
from binary_split.errors import ArchiveFormatError
from tests.archive.age.kit import VECTORS

FOLDER = VECTORS / "wycheproof"


def cases(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    groups = json.loads((FOLDER / name).read_text())["testGroups"]
    return [(group, case) for group in groups for case in group["tests"]]


def raw(case: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


def test_the_vectors_are_unchanged() -> None:
    for line in (FOLDER / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_chacha20_poly1305_releases_only_what_is_authentic() -> None:
    ran = 0
    for group, case in cases("chacha20_poly1305_test.json"):
        key, nonce, aad, message, sealed, tag = raw(case, "key", "iv", "aad", "msg", "ct", "tag")
        if group["ivSize"] != 96:
            assert case["result"] == "invalid"  # the codec's nonces are always 12 bytes
            continue
        target = bytearray(CHUNK_BYTES)
        view = memoryview(target)[: len(sealed)]
        ran += 1
        if case["result"] == "valid":
            assert ChaCha20Poly1305(key).encrypt(nonce, message, aad) == sealed + tag
            assert ChaCha20Poly1305(key).decrypt_into(nonce, sealed + tag, aad, view) == len(message)
            assert bytes(view) == message
        else:
            with pytest.raises(InvalidTag):
                ChaCha20Poly1305(key).decrypt_into(nonce, sealed + tag, aad, view)
    assert ran > 250


def test_hkdf_sha256_derives_the_right_key() -> None:
    ran = 0
    for _, case in cases("hkdf_sha256_test.json"):
        secret, salt, info, expected = raw(case, "ikm", "salt", "info", "okm")
        if case["result"] == "valid" and case["size"] >= 32:
            # HKDF's output of 32 bytes is the head of any longer one.
            assert derive_key(secret, salt=salt, info=info) == expected[:32]
            ran += 1
    assert ran > 30


def test_x25519_exchanges_the_right_secret_and_refuses_an_all_zero_one() -> None:
    zero = 0
    for _, case in cases("x25519_test.json"):
        private, public, shared = raw(case, "private", "public", "shared")
        key = X25519PrivateKey.from_private_bytes(private)
        if shared == bytes(32):
            with pytest.raises(ArchiveFormatError):
                exchange_x25519(key, public)
            zero += 1
        else:
            assert exchange_x25519(key, public) == shared
    assert zero > 10
