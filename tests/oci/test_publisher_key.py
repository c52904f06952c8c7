"""The publisher's key: Ed25519 and nothing else, readable by others' tools, shown to nobody."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from binary_split.config import LIMITS
from binary_split.errors import ConfigError, SecretFileError, SignatureUntrustedError
from binary_split.oci.publisher_key import PrivateKey, PublicKey, parse_passphrase
from tests.oci.statements import private_key

VECTORS = Path(__file__).parents[1] / "vectors" / "wycheproof" / "ed25519_test.json"
PASSPHRASE = b"correct horse"
KEY = private_key(1)
PEM = KEY.serialise()
PUBLIC_PEM = KEY.public_key.serialise()

FOREIGN_KEYS = [
    ec.generate_private_key(ec.SECP256R1()),
    rsa.generate_private_key(65537, 2048),
    ed448.Ed448PrivateKey.generate(),
    x25519.X25519PrivateKey.generate(),
]
foreign = pytest.mark.parametrize("key", FOREIGN_KEYS, ids=lambda key: type(key).__name__)


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE, b"\xff" * LIMITS.passphrase_bytes])
def test_a_private_key_survives_the_way_through_pem(passphrase: bytes | None) -> None:
    pem = KEY.serialise(passphrase)
    assert (b"ENCRYPTED" in pem) == (passphrase is not None)
    assert PrivateKey.parse(pem, passphrase).sign(b"x") == KEY.sign(b"x")


def test_a_public_key_survives_the_way_through_pem() -> None:
    assert PublicKey.parse(PUBLIC_PEM) == KEY.public_key
    assert PublicKey.parse(PUBLIC_PEM.replace(b"\n", b"\r\n").rstrip()) == KEY.public_key


def test_each_generated_key_is_another() -> None:
    assert PrivateKey.generate().key_id != PrivateKey.generate().key_id


def test_the_key_id_is_the_digest_of_the_raw_public_key() -> None:
    # the first key pair of RFC 8032, section 7.1, and sha256sum
    raw = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert PublicKey(raw).key_id == "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9"
    assert KEY.key_id == KEY.public_key.key_id


def test_a_private_key_is_not_shown() -> None:
    secret = bytes([1]) * 32
    for shown in (repr(KEY), str(KEY), f"{KEY!s}"):
        assert "masked" in shown
        assert secret.hex() not in shown
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(KEY)


@pytest.mark.parametrize(
    ("pem", "passphrase", "words"),
    [
        (b"", None, "no publisher key"),
        (PUBLIC_PEM, None, "no publisher key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", None, "no publisher key"),
        (PEM[:60], None, "damaged"),
        (PEM.replace(b"MC4C", b"MC4D"), None, "damaged"),
        (PEM, PASSPHRASE, "has no passphrase"),
        (KEY.serialise(PASSPHRASE), None, "has a passphrase"),
        (KEY.serialise(PASSPHRASE), b"wrong", "the passphrase is wrong"),
        (KEY.serialise(PASSPHRASE), PASSPHRASE + b"\n", "the passphrase is wrong"),
        (KEY.serialise(PASSPHRASE), b"x" * 5_000, "the passphrase is wrong"),
    ],
)
def test_a_private_key_that_cannot_be_used_is_refused(
    pem: bytes, passphrase: bytes | None, words: str
) -> None:
    with pytest.raises(SecretFileError, match=words):
        PrivateKey.parse(pem, passphrase)


@foreign
def test_a_private_key_of_another_kind_is_refused(key: Any) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(SecretFileError, match="another kind"):
        PrivateKey.parse(pem)


@foreign
def test_a_public_key_of_another_kind_is_refused(key: Any) -> None:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ConfigError, match="another kind"):
        PublicKey.parse(pem)


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (b"", "no public key"),
        (b"\x00" * 32, "no public key"),
        (PUBLIC_PEM[:50], "no public key"),
        (PEM, "private key"),
        (PUBLIC_PEM + private_key(2).public_key.serialise(), "more than one"),
        (b"# comment\n" + PUBLIC_PEM, "more than one"),
    ],
)
def test_a_public_key_that_cannot_be_used_is_refused(pem: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PublicKey.parse(pem)


def test_an_empty_passphrase_does_not_mean_none() -> None:
    with pytest.raises(ValueError, match="1 or more bytes"):
        KEY.serialise(b"")


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33)])
def test_a_raw_key_has_32_bytes(raw: bytes) -> None:
    with pytest.raises(ConfigError, match="32 bytes"):
        PublicKey(raw)


@pytest.mark.parametrize("content", [b"word", b"word\n", b"word\r\n"])
def test_the_end_of_its_line_is_no_part_of_a_passphrase(content: bytes) -> None:
    assert parse_passphrase(content) == b"word"


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"a\0b", b"x" * (LIMITS.passphrase_bytes + 1)])
def test_a_passphrase_that_others_would_read_differently_is_refused(content: bytes) -> None:
    with pytest.raises(SecretFileError):
        parse_passphrase(content)


@given(st.binary(), st.none() | st.binary(min_size=1))
def test_any_bytes_raise_only_our_errors(content: bytes, passphrase: bytes | None) -> None:
    for lead in (b"", b"-----BEGIN PRIVATE KEY-----\n", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"):
        with pytest.raises(SecretFileError):
            PrivateKey.parse(lead + content, passphrase)
    with pytest.raises(ConfigError):
        PublicKey.parse(b"-----BEGIN PUBLIC KEY-----\n" + content)


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), KEY.sign(b"y")])
def test_what_is_no_signature_of_this_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureUntrustedError):
        KEY.public_key.verify_signature(signature, b"x")


def test_wycheproof() -> None:
    ran = 0
    for group in json.loads(VECTORS.read_text())["testGroups"]:
        key = PublicKey.parse(group["publicKeyPem"].encode())
        assert key.raw == bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            signature, message = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
            if case["result"] == "valid":
                key.verify_signature(signature, message)
            else:
                with pytest.raises(SignatureUntrustedError):
                    key.verify_signature(signature, message)
            ran += 1
    assert ran == 151


def test_openssl_reads_our_keys(program: Callable[[str], Path], tmp_path: Path) -> None:
    plain, locked, word = tmp_path / "plain", tmp_path / "locked", tmp_path / "word"
    plain.write_bytes(PEM)
    locked.write_bytes(KEY.serialise(PASSPHRASE))
    word.write_bytes(PASSPHRASE + b"\n")
    for arguments in ([plain], [locked, "-passin", f"file:{word}"]):
        command = [program("openssl"), "pkey", "-in", *arguments, "-pubout"]
        assert subprocess.run(command, check=True, capture_output=True).stdout == PUBLIC_PEM


def test_we_read_keys_of_openssl(program: Callable[[str], Path], tmp_path: Path) -> None:
    openssl, word = str(program("openssl")), tmp_path / "word"
    word.write_bytes(PASSPHRASE + b"\n")
    make = [openssl, "genpkey", "-algorithm", "ED25519"]
    plain = subprocess.run(make, check=True, capture_output=True).stdout
    encrypt = [openssl, "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-iter", "100000"]
    encrypt += ["-passout", f"file:{word}"]
    locked = subprocess.run(encrypt, input=plain, check=True, capture_output=True).stdout
    public = subprocess.run([openssl, "pkey", "-pubout"], input=plain, check=True, capture_output=True).stdout
    key = PrivateKey.parse(plain)
    assert PublicKey.parse(public) == key.public_key
    assert PrivateKey.parse(locked, parse_passphrase(word.read_bytes())).key_id == key.key_id
