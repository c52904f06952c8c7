"""Our own stanza, which a key fragment opens: ``-> binary-split <key-id> <salt>``.

The body is the file key under ChaCha20-Poly1305 with a zero nonce and the key
HKDF-SHA-256(fragment, salt, ``binary-split/v1 fragment `` + key-id). HKDF is no password hash: a fragment is
random bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from binary_split.archive.age.crypto import check_wrapped, derive_key, unwrap_file_key, wrap_file_key
from binary_split.archive.age.encoding import decode_base64, encode_base64
from binary_split.archive.age.header import Stanza
from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError, ConfigError
from binary_split.model import Fragment, is_key_id

KIND = "binary-split"
_SALT_BYTES = 16
_INFO = b"binary-split/v1 fragment "


@dataclass(frozen=True, slots=True)
class FragmentStanza:
    """A parsed stanza: which fragment opens it, the salt (16 bytes) and the wrapped file key (32 bytes)."""

    key_id: str
    salt: bytes
    body: bytes

    @classmethod
    def parse(cls, stanza: Stanza) -> FragmentStanza:
        """Parse a stanza of the type ``binary-split``.

        Raises:
            ArchiveFormatError: it is malformed.
        """
        if len(stanza.arguments) != 2:
            raise ArchiveFormatError(f"a {KIND} stanza has two arguments, key-id and salt")
        key_id, salt = stanza.arguments
        if not is_key_id(key_id):
            raise ArchiveFormatError(f"a {KIND} stanza holds a malformed key-id")
        check_wrapped(stanza.body)
        return cls(key_id, decode_base64(salt, size=_SALT_BYTES), stanza.body)


class FragmentRecipient:
    """Whoever may fetch the fragment that ``key_id`` names; the fragment appears in no repr.

    Raises:
        ConfigError: the key-id is malformed, or the fragment shorter than 16 bytes.
    """

    def __init__(self, key_id: str, fragment: Fragment) -> None:
        if not is_key_id(key_id):
            raise ConfigError(
                f"not a key-id: {key_id[:80]!r}",
                hint="Take 1 to 64 of a-z, 0-9, dot, underscore and dash; the first a letter or digit.",
            )
        if len(fragment) < LIMITS.age_fragment_bytes_min:
            raise ConfigError(
                f"the fragment has {len(fragment)} bytes, less than {LIMITS.age_fragment_bytes_min}",
                hint="Generate a fragment of 32 random bytes.",
            )
        self.key_id = key_id
        self._fragment = fragment

    def wrap(self, file_key: bytes) -> Sequence[Stanza]:
        """Wrap a file key under a fresh salt."""
        salt = os.urandom(_SALT_BYTES)
        body = wrap_file_key(_wrap_key(self._fragment, salt, self.key_id), file_key)
        return (Stanza(KIND, (self.key_id, encode_base64(salt)), body),)


class FragmentIdentity:
    """A fragment that opens; it appears in no repr.

    Args:
        fragment: the secret.
        key_id: the one that it was fetched under; None to try it on each stanza of this type.
    """

    def __init__(self, fragment: Fragment, *, key_id: str | None = None) -> None:
        self._fragment = fragment
        self._key_id = key_id

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key from the first stanza that the fragment opens.

        Raises:
            ArchiveFormatError: a stanza of this type is malformed.
        """
        for each in parse_fragment_stanzas(stanzas):
            if self._key_id not in (None, each.key_id):
                continue
            wrap_key = _wrap_key(self._fragment, each.salt, each.key_id)
            if (file_key := unwrap_file_key(wrap_key, each.body)) is not None:
                return file_key
        return None


def parse_fragment_stanzas(stanzas: Sequence[Stanza]) -> tuple[FragmentStanza, ...]:
    """Parse the stanzas of this type, without a key; others are passed over.

    Raises:
        ArchiveFormatError: one of them is malformed.
    """
    return tuple(FragmentStanza.parse(each) for each in stanzas if each.kind == KIND)


def _wrap_key(fragment: Fragment, salt: bytes, key_id: str) -> bytes:
    return derive_key(fragment.reveal(), salt=salt, info=_INFO + key_id.encode("ascii"))
