"""HPKE (RFC 9180) in base mode, by pyca/cryptography: sealing to a public key, with X25519 or a hybrid of it.

Both suites derive with HKDF-SHA-256 and encrypt with ChaCha20-Poly1305. The hybrid KEM is MLKEM768-X25519
(X-Wing): who records today and has a quantum computer later learns nothing. A sealed value is the
encapsulated key, then the ciphertext with its tag (16 bytes).
"""

from __future__ import annotations

import os
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHAKE256, Hash

from binary_split.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
    from cryptography.hazmat.primitives.hpke import MLKEM768X25519PublicKey, Suite

SEED_BYTES = 32
"""A private key of either kind is kept as this many random bytes."""

_MLKEM_PUBLIC_BYTES = 1184


class Kem(StrEnum):
    """How the key is encapsulated: the kind of a key pair."""

    X25519 = "x25519"
    HYBRID = "mlkem768x25519"

    @property
    def public_bytes(self) -> int:
        """Length of a public key; the hybrid's is ML-KEM-768's (1184 bytes), then X25519's."""
        return {Kem.X25519: 32, Kem.HYBRID: _MLKEM_PUBLIC_BYTES + 32}[self]

    @property
    def encapsulated_bytes(self) -> int:
        """Length of an encapsulated key; the hybrid's is ML-KEM-768's (1088 bytes), then X25519's."""
        return {Kem.X25519: 32, Kem.HYBRID: 1088 + 32}[self]


class PrivateKey:
    """A private key; its seed appears in no repr, str or pickle."""

    __slots__ = ("_seed", "kem")

    def __init__(self, kem: Kem, seed: bytes) -> None:
        self.kem = kem
        self._seed = seed

    @classmethod
    def generate(cls, kem: Kem) -> PrivateKey:
        """Return a new key from the system's CSPRNG."""
        return cls(kem, os.urandom(SEED_BYTES))

    def reveal(self) -> bytes:
        """Return the seed itself, to be written to its file and nowhere else."""
        return self._seed

    def public(self) -> bytes:
        """Return the public key.

        Raises:
            ConfigError: this build of cryptography lacks ML-KEM.
        """
        if self.kem is Kem.X25519:
            return X25519PrivateKey.from_private_bytes(self._seed).public_key().public_bytes_raw()
        mlkem, x25519 = expand_hybrid(self._seed)
        return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    def open(self, sealed: bytes, *, info: bytes) -> bytes | None:
        """Return what was sealed to this key with the same ``info``; None if it was not, or was altered.

        Raises:
            ConfigError: this build of cryptography lacks ML-KEM.
        """
        from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey

        key = (
            X25519PrivateKey.from_private_bytes(self._seed)
            if self.kem is Kem.X25519
            else MLKEM768X25519PrivateKey(*expand_hybrid(self._seed))
        )
        try:
            return _suite(self.kem).decrypt(sealed, key, info)
        except InvalidTag:
            return None

    def __repr__(self) -> str:
        return f"PrivateKey({self.kem}, <masked>)"

    def __reduce__(self) -> NoReturn:
        msg = "a PrivateKey is not pickled"
        raise TypeError(msg)


def seal(kem: Kem, public: bytes, plain: bytes, *, info: bytes) -> bytes:
    """Seal to a public key under a fresh encapsulation.

    Raises:
        ConfigError: the public key is none of this kind, or this build of cryptography lacks ML-KEM.
    """
    try:
        key = X25519PublicKey.from_public_bytes(public) if kem is Kem.X25519 else _hybrid_public(public)
        return _suite(kem).encrypt(plain, key, info)
    except ValueError as error:
        raise ConfigError(f"not a public key of the kind {kem}") from error
    except UnsupportedAlgorithm as error:
        raise _lacking() from error


def expand_hybrid(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    """Return the two private keys that a hybrid's seed stands for.

    Raises:
        ConfigError: this build of cryptography lacks ML-KEM.
    """
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

    expansion = Hash(SHAKE256(96))
    expansion.update(seed)
    secret = expansion.finalize()
    try:
        mlkem = MLKEM768PrivateKey.from_seed_bytes(secret[:64])
    except UnsupportedAlgorithm as error:
        raise _lacking() from error
    return mlkem, X25519PrivateKey.from_private_bytes(secret[64:])


def _hybrid_public(public: bytes) -> MLKEM768X25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
    from cryptography.hazmat.primitives.hpke import MLKEM768X25519PublicKey

    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES]),
        X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC_BYTES:]),
    )


@cache
def _suite(kem: Kem) -> Suite:
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    ours = {Kem.X25519: KEM.X25519, Kem.HYBRID: KEM.MLKEM768_X25519}
    return Suite(ours[kem], KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _lacking() -> ConfigError:
    return ConfigError(
        "this build of the cryptography library lacks ML-KEM",
        hint="Install cryptography from its official wheels.",
    )
