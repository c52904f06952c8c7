"""The post-quantum hybrid recipient type (C2SP age.md, "The MLKEM768-X25519 … recipient type").

ML-KEM-768 with X25519 (X-Wing) under HPKE's base mode (RFC 9180), in one call of pyca/cryptography. Its
encapsulated key is the ML-KEM ciphertext (1088 bytes), then the X25519 share (32).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHAKE256, Hash

from binary_split.archive.age.crypto import check_wrapped, exchange_x25519
from binary_split.archive.age.encoding import decode_base64, encode_base64
from binary_split.archive.age.header import Stanza
from binary_split.errors import ArchiveFormatError, ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
    from cryptography.hazmat.primitives.hpke import Suite

KIND = "mlkem768x25519"
SEED_BYTES = 32
_MLKEM_PUBLIC_BYTES = 1184
PUBLIC_BYTES = _MLKEM_PUBLIC_BYTES + 32
_SHARE_AT = 1088
_ENCAPSULATED_BYTES = _SHARE_AT + 32
_INFO = b"age-encryption.org/mlkem768x25519"


class HybridRecipient:
    """A public key: ML-KEM-768 (1184 bytes), then X25519 (32)."""

    def __init__(self, public: bytes) -> None:
        self.public = public

    def wrap(self, file_key: bytes) -> Sequence[Stanza]:
        """Wrap a file key under a fresh encapsulation.

        Raises:
            ConfigError: the public key is no such key, or this build of cryptography lacks ML-KEM.
        """
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
        from cryptography.hazmat.primitives.hpke import MLKEM768X25519PublicKey

        try:
            public = MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(self.public[:_MLKEM_PUBLIC_BYTES]),
                X25519PublicKey.from_public_bytes(self.public[_MLKEM_PUBLIC_BYTES:]),
            )
            sealed = _suite().encrypt(file_key, public, _INFO)
        except ValueError as error:
            raise ConfigError("not a post-quantum age recipient") from error
        except UnsupportedAlgorithm as error:
            raise _lacking() from error
        encapsulated, body = sealed[:_ENCAPSULATED_BYTES], sealed[_ENCAPSULATED_BYTES:]
        return (Stanza(KIND, (encode_base64(encapsulated),), body),)


class HybridIdentity:
    """A private key, kept as its seed (32 bytes); it appears in no repr."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed

    @property
    def recipient(self) -> HybridRecipient:
        """The recipient that this identity opens for.

        Raises:
            ConfigError: this build of cryptography lacks ML-KEM.
        """
        mlkem, x25519 = self._expand()
        return HybridRecipient(mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw())

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key from the first stanza that is for this identity.

        Raises:
            ArchiveFormatError: a stanza of this type is malformed.
            ConfigError: this build of cryptography lacks ML-KEM.
        """
        mine = [(each, _parse_encapsulated(each)) for each in stanzas if each.kind == KIND]
        if not mine:
            return None
        from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey

        mlkem, x25519 = self._expand()
        private = MLKEM768X25519PrivateKey(mlkem, x25519)
        for stanza, encapsulated in mine:
            # HPKE fails on a share of low order as on any other; the specification asks for a refusal.
            exchange_x25519(x25519, encapsulated[_SHARE_AT:])
            try:
                return _suite().decrypt(encapsulated + stanza.body, private, _INFO)
            except InvalidTag:
                continue
        return None

    def _expand(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

        expansion = Hash(SHAKE256(96))
        expansion.update(self._seed)
        secret = expansion.finalize()
        try:
            mlkem = MLKEM768PrivateKey.from_seed_bytes(secret[:64])
        except UnsupportedAlgorithm as error:
            raise _lacking() from error
        return mlkem, X25519PrivateKey.from_private_bytes(secret[64:])


@cache
def _suite() -> Suite:
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _parse_encapsulated(stanza: Stanza) -> bytes:
    if len(stanza.arguments) != 1:
        raise ArchiveFormatError(f"a {KIND} stanza has one argument, the encapsulated key")
    check_wrapped(stanza.body)
    return decode_base64(stanza.arguments[0], size=_ENCAPSULATED_BYTES)


def _lacking() -> ConfigError:
    return ConfigError(
        "this build of the cryptography library lacks ML-KEM",
        hint="Install cryptography from its official wheels.",
    )
