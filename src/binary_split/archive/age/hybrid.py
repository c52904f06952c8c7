"""The post-quantum hybrid recipient type (C2SP age.md, "The MLKEM768-X25519 … recipient type").

ML-KEM-768 with X25519 (X-Wing) under HPKE's base mode (RFC 9180). Its encapsulated key is the ML-KEM
ciphertext (1088 bytes), then the X25519 share (32).
"""

from __future__ import annotations

from collections.abc import Sequence

from binary_split import hpke
from binary_split.archive.age.crypto import check_wrapped, exchange_x25519
from binary_split.archive.age.encoding import decode_base64, encode_base64
from binary_split.archive.age.header import Stanza
from binary_split.errors import ArchiveFormatError
from binary_split.hpke import Kem

KIND = "mlkem768x25519"
SEED_BYTES = hpke.SEED_BYTES
PUBLIC_BYTES = Kem.HYBRID.public_bytes
_ENCAPSULATED_BYTES = Kem.HYBRID.encapsulated_bytes
_SHARE_BYTES = 32
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
        sealed = hpke.seal(Kem.HYBRID, self.public, file_key, info=_INFO)
        encapsulated, body = sealed[:_ENCAPSULATED_BYTES], sealed[_ENCAPSULATED_BYTES:]
        return (Stanza(KIND, (encode_base64(encapsulated),), body),)


class HybridIdentity:
    """A private key, kept as its seed (32 bytes); it appears in no repr."""

    def __init__(self, seed: bytes) -> None:
        self._key = hpke.PrivateKey(Kem.HYBRID, seed)

    @property
    def recipient(self) -> HybridRecipient:
        """The recipient that this identity opens for.

        Raises:
            ConfigError: this build of cryptography lacks ML-KEM.
        """
        return HybridRecipient(self._key.public())

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key from the first stanza that is for this identity.

        Raises:
            ArchiveFormatError: a stanza of this type is malformed.
            ConfigError: this build of cryptography lacks ML-KEM.
        """
        mine = [(each, _parse_encapsulated(each)) for each in stanzas if each.kind == KIND]
        if not mine:
            return None
        _mlkem, x25519 = hpke.expand_hybrid(self._key.reveal())
        for stanza, encapsulated in mine:
            # HPKE fails on a share of low order as on any other; the specification asks for a refusal.
            exchange_x25519(x25519, encapsulated[-_SHARE_BYTES:])
            if (file_key := self._key.open(encapsulated + stanza.body, info=_INFO)) is not None:
                return file_key
        return None


def _parse_encapsulated(stanza: Stanza) -> bytes:
    if len(stanza.arguments) != 1:
        raise ArchiveFormatError(f"a {KIND} stanza has one argument, the encapsulated key")
    check_wrapped(stanza.body)
    return decode_base64(stanza.arguments[0], size=_ENCAPSULATED_BYTES)
