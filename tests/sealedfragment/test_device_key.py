"""A device's keys as text: read as they are written, and in no other spelling."""

from __future__ import annotations

import pytest

from binary_split.errors import ConfigError, SecretFileError
from binary_split.sealedfragment import Kem, PrivateKey, PublicKey, parse_device_key, serialise_device_key

SEED = bytes(range(32))
PRIVATE = b"bsd1:x25519:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"
PUBLIC = "x25519:j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8"
each_kem = pytest.mark.parametrize("kem", Kem)


@each_kem
def test_both_come_back_as_they_went(kem: Kem) -> None:
    key = PrivateKey.generate(kem)
    again = parse_device_key(serialise_device_key(key))
    assert (again.kem, again.reveal()) == (kem, key.reveal())
    assert PublicKey.parse(PublicKey.of(key).serialise()) == PublicKey.of(again)


def test_the_text_is_what_the_page_says() -> None:
    key = PrivateKey(Kem.X25519, SEED)
    assert serialise_device_key(key) == PRIVATE
    assert PublicKey.of(key).serialise() == PUBLIC


def test_two_new_keys_differ() -> None:
    assert PrivateKey.generate(Kem.X25519).reveal() != PrivateKey.generate(Kem.X25519).reveal()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        PRIVATE[:-1],
        PRIVATE + b"\n",
        b" " + PRIVATE,
        PRIVATE.replace(b"\n", b"\r\n"),
        PRIVATE.replace(b"bsd1", b"bsd2"),
        PRIVATE.replace(b"x25519", b"X25519"),
        PRIVATE.replace(b"h8\n", b"h9\n"),  # stray bits
        PRIVATE.replace(b"h8\n", b"h8=\n"),
        PRIVATE.replace(b"AAEC", b""),
        PRIVATE.replace(b"AAEC", b"\xff\xfe\xfd\xfc"),
        PUBLIC.encode() + b"\n",
        b"-----BEGIN PRIVATE KEY-----\n",
    ],
)
def test_a_file_that_is_no_device_key_is_refused_and_not_quoted(content: bytes) -> None:
    with pytest.raises(SecretFileError) as caught:
        parse_device_key(content)
    assert "AQFBgcI" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        PUBLIC + "\n",
        PUBLIC + "=",
        PUBLIC[:-4],
        PUBLIC.replace("x25519", "p256"),
        PUBLIC.replace("x25519:", ""),
        PUBLIC.replace("x25519", "mlkem768x25519"),
        PRIVATE.decode().strip(),
    ],
)
def test_a_text_that_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        PublicKey.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "x25519:" + "A" * 43,  # the point of low order at zero: everybody knows what it agrees on
        "mlkem768x25519:" + "_" * 1621 + "w",  # coefficients beyond the modulus
    ],
)
def test_a_public_key_that_nothing_can_be_sealed_to_is_refused(text: str) -> None:
    key = PublicKey.parse(text)
    with pytest.raises(ConfigError):
        key.verify_usable()


def test_a_fingerprint_is_the_digest_of_the_text() -> None:
    assert PublicKey.parse(PUBLIC).fingerprint == (
        "sha256:f8aa0b97f76360ce147e7abac4c4e3cb553085fb75f26260fc9145397a3b517a"
    )
