"""A primitive that computes something else is found, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from binary_split import hpke
from binary_split.doctor import Verdict
from binary_split.errors import ConfigError
from binary_split.oci.publisher_key import PublicKey
from tests.doctor.conftest import check


def test_the_primitives_of_this_machine_compute_what_they_must() -> None:
    found = check("self-test")
    assert found.verdict is Verdict.OK
    for name in ("SHA-256", "HKDF", "ChaCha20-Poly1305", "AES-256-CBC", "X25519", "Ed25519", "ML-KEM-768"):
        assert name in found.detail


class _Wrong:
    """Does all that a primitive can do, wrongly: every answer is 32 zero bytes."""

    def __init__(self, *_args: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_args: self if name.endswith("cryptor") else bytes(32)

    @classmethod
    def from_private_bytes(cls, _raw: bytes) -> _Wrong:
        return cls()


HERE = "binary_split.doctor.selftest."


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("SHA-256", "Hash"),
        ("HKDF", "HKDF"),
        ("ChaCha20-Poly1305", "ChaCha20Poly1305"),
        ("AES-256-CBC", "Cipher"),
        ("X25519", "X25519PrivateKey"),
    ],
)
def test_a_broken_primitive_fails_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, where: str) -> None:
    monkeypatch.setattr(HERE + where, _Wrong)
    found = check("self-test")
    assert found.verdict is Verdict.FAILED
    assert found.detail == f"wrong answers from {name}"
    assert "Do not unlock on this machine" in found.cure


def test_a_cipher_that_opens_a_forgery_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    from binary_split.doctor import vectors

    class Gullible:
        def __init__(self, key: bytes) -> None:
            self._real = ChaCha20Poly1305(key)

        def encrypt(self, *args: Any) -> bytes:
            return self._real.encrypt(*args)

        def decrypt(self, *_args: Any) -> bytes:
            return vectors.CHACHA_PLAIN

    monkeypatch.setattr(HERE + "ChaCha20Poly1305", Gullible)
    assert check("self-test").detail == "wrong answers from ChaCha20-Poly1305"


def test_a_signature_check_that_believes_everything_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PublicKey, "verify_signature", lambda *_args: None)
    assert check("self-test").detail == "wrong answers from Ed25519"


def test_a_wrong_ml_kem_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpke.PrivateKey, "public", lambda _key: bytes(1216))
    assert check("self-test").detail == "wrong answers from ML-KEM-768"


def test_a_library_without_ml_kem_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(_seed: bytes) -> None:
        raise ConfigError("this build of the cryptography library lacks ML-KEM", hint="Install another.")

    monkeypatch.setattr(hpke, "expand_hybrid", lack)
    found = check("self-test")
    assert found.verdict is Verdict.WARNING
    assert "lacks ML-KEM" in found.detail
    assert found.cure == "Install another."
