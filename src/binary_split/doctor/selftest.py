"""Whether the cryptography of this machine computes what it must: known answers of each primitive in use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from binary_split import hpke
from binary_split.doctor import vectors
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, bad, doubtful, good
from binary_split.errors import ConfigError, SignatureUntrustedError
from binary_split.oci.publisher_key import PublicKey

_CURE = (
    "Do not unlock on this machine: install the program and its cryptography library again, "
    "and if that does not help, have its memory tested."
)


class _WrongAnswerError(Exception):
    """A primitive does not compute what its standard says."""


def check_primitives(_facts: Facts) -> Judgement:
    """Judge every primitive by an answer that its standard gives."""
    broken = [name for name, verify in _TESTS.items() if not _holds(verify)]
    if broken:
        return bad(f"wrong answers from {', '.join(broken)}", _CURE)
    names = list(_TESTS)
    try:
        if not _holds(_verify_hybrid):
            return bad("wrong answers from ML-KEM-768", _CURE)
    except ConfigError as error:
        return doubtful(f"{error}; all else computes as it must", error.hint)
    return good(f"{', '.join(names)} and ML-KEM-768 compute what their standards say")


def _holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except ConfigError:  # it is not there at all, and says so
        raise
    except Exception:  # whatever a broken primitive raises, it is broken
        return False
    return True


def _verify_equal(found: bytes, known: bytes) -> None:
    if found != known:
        raise _WrongAnswerError


def _verify_sha256() -> None:
    ours = Hash(SHA256())
    ours.update(vectors.SHA256_MESSAGE)
    _verify_equal(ours.finalize(), vectors.SHA256_DIGEST)
    _verify_equal(hashlib.sha256(vectors.SHA256_MESSAGE).digest(), vectors.SHA256_DIGEST)


def _verify_hkdf() -> None:
    hkdf = HKDF(SHA256(), len(vectors.HKDF_OUTPUT), vectors.HKDF_SALT, vectors.HKDF_INFO)
    _verify_equal(hkdf.derive(vectors.HKDF_SECRET), vectors.HKDF_OUTPUT)


def _verify_chacha() -> None:
    aead = ChaCha20Poly1305(vectors.CHACHA_KEY)
    nonce, extra = vectors.CHACHA_NONCE, vectors.CHACHA_EXTRA
    sealed = aead.encrypt(nonce, vectors.CHACHA_PLAIN, extra)
    _verify_equal(sealed, vectors.CHACHA_SEALED)
    _verify_equal(aead.decrypt(nonce, sealed, extra), vectors.CHACHA_PLAIN)
    forged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    with suppress(InvalidTag):
        aead.decrypt(nonce, forged, extra)
        raise _WrongAnswerError


def _verify_aes_cbc() -> None:
    cipher = Cipher(algorithms.AES256(vectors.AES_KEY), modes.CBC(vectors.AES_IV))
    encryptor, decryptor = cipher.encryptor(), cipher.decryptor()
    _verify_equal(encryptor.update(vectors.AES_PLAIN) + encryptor.finalize(), vectors.AES_SEALED)
    _verify_equal(decryptor.update(vectors.AES_SEALED) + decryptor.finalize(), vectors.AES_PLAIN)


def _verify_x25519() -> None:
    private = X25519PrivateKey.from_private_bytes(vectors.X25519_SCALAR)
    shared = private.exchange(X25519PublicKey.from_public_bytes(vectors.X25519_POINT))
    _verify_equal(shared, vectors.X25519_SHARED)


def _verify_ed25519() -> None:
    key = PublicKey(vectors.ED25519_PUBLIC)
    key.verify_signature(vectors.ED25519_SIGNATURE, vectors.ED25519_MESSAGE)
    with suppress(SignatureUntrustedError):
        key.verify_signature(vectors.ED25519_SIGNATURE, vectors.ED25519_MESSAGE + b"\0")
        raise _WrongAnswerError


def _verify_hybrid() -> None:
    key = hpke.PrivateKey(hpke.Kem.HYBRID, vectors.HYBRID_SEED)
    public = key.public()
    _verify_equal(hashlib.sha256(public).digest(), vectors.HYBRID_PUBLIC_SHA256)
    sealed = hpke.seal(hpke.Kem.HYBRID, public, vectors.CHACHA_PLAIN, info=b"self-test")
    _verify_equal(key.open(sealed, info=b"self-test") or b"", vectors.CHACHA_PLAIN)


_TESTS: Mapping[str, Callable[[], None]] = {
    "SHA-256": _verify_sha256,
    "HKDF": _verify_hkdf,
    "ChaCha20-Poly1305": _verify_chacha,
    "AES-256-CBC": _verify_aes_cbc,
    "X25519": _verify_x25519,
    "Ed25519": _verify_ed25519,
}
