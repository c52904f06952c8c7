"""Encryption at rest: AES-256-GCM under one key-encryption key.

A sealed value is ``nonce(12) || ciphertext || tag(16)``. What it is and whose it is are its associated data,
so a row that is copied over another one does not open.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from binary_split.errors import KeyStoreDamagedError
from binary_split.model import Fragment

KEY_BYTES = 32
_NONCE_BYTES = 12
_OVERHEAD_BYTES = _NONCE_BYTES + 16
_FRAGMENT_PURPOSE = b"binary-split/v1 fragment "
_CHECK_PURPOSE = b"binary-split/v1 check"
_CHECK_VALUE = b"binary-split key service"


class Envelope:
    """Seals and opens values under one key-encryption key, which no repr shows."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal_fragment(self, key_id: str, fragment: Fragment) -> bytes:
        """Return a fragment sealed for the row of ``key_id``."""
        return self._seal(fragment.reveal(), _FRAGMENT_PURPOSE + key_id.encode())

    def open_fragment(self, key_id: str, sealed: bytes) -> Fragment:
        """Open what ``seal_fragment`` made for the same key-id.

        Raises:
            KeyStoreDamagedError: the value was altered, or belongs to another row.
        """
        try:
            return Fragment(self._open(sealed, _FRAGMENT_PURPOSE + key_id.encode()))
        except InvalidTag:
            raise KeyStoreDamagedError(f"the stored fragment of {key_id!r} fails authentication") from None

    def is_key_of(self, check: bytes) -> bool:
        """Tell whether ``seal_check`` made a check value under this key."""
        try:
            self._open(check, _CHECK_PURPOSE)
        except InvalidTag:
            return False
        return True

    def seal_check(self) -> bytes:
        """Return the check value by which a store knows its key-encryption key again."""
        return self._seal(_CHECK_VALUE, _CHECK_PURPOSE)

    def _seal(self, plain: bytes, purpose: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, purpose)

    def _open(self, sealed: bytes, purpose: bytes) -> bytes:
        if len(sealed) < _OVERHEAD_BYTES:
            raise InvalidTag
        return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose)
