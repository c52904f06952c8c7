"""The X25519 recipient type (C2SP age.md, "The X25519 recipient type")."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from binary_split.archive.age.crypto import (
    check_wrapped,
    derive_key,
    exchange_x25519,
    unwrap_file_key,
    wrap_file_key,
)
from binary_split.archive.age.encoding import decode_base64, encode_base64
from binary_split.archive.age.header import Stanza
from binary_split.errors import ArchiveFormatError

KIND = "X25519"
KEY_BYTES = 32
_INFO = b"age-encryption.org/v1/X25519"


class X25519Recipient:
    """A public key (32 bytes)."""

    def __init__(self, public: bytes) -> None:
        self.public = public

    def wrap(self, file_key: bytes) -> Sequence[Stanza]:
        """Wrap a file key under a fresh ephemeral key.

        Raises:
            ArchiveFormatError: the public key is a point of low order.
        """
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        wrap_key = _wrap_key(exchange_x25519(ephemeral, self.public), share, self.public)
        return (Stanza(KIND, (encode_base64(share),), wrap_file_key(wrap_key, file_key)),)


class X25519Identity:
    """A private key (32 bytes); it appears in no repr."""

    def __init__(self, secret: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(secret)

    @property
    def recipient(self) -> X25519Recipient:
        """The recipient that this identity opens for."""
        return X25519Recipient(self._private.public_key().public_bytes_raw())

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key from the first stanza that is for this identity.

        Raises:
            ArchiveFormatError: an X25519 stanza is malformed.
        """
        public = self.recipient.public
        for stanza, share in [(each, _parse_share(each)) for each in stanzas if each.kind == KIND]:
            wrap_key = _wrap_key(exchange_x25519(self._private, share), share, public)
            if (file_key := unwrap_file_key(wrap_key, stanza.body)) is not None:
                return file_key
        return None


def _parse_share(stanza: Stanza) -> bytes:
    if len(stanza.arguments) != 1:
        raise ArchiveFormatError("an X25519 stanza has one argument, the share")
    check_wrapped(stanza.body)
    return decode_base64(stanza.arguments[0], size=KEY_BYTES)


def _wrap_key(shared: bytes, share: bytes, public: bytes) -> bytes:
    return derive_key(shared, salt=share + public, info=_INFO)
