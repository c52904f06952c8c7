"""Encryption at rest: AES-256-GCM under the key-encryption key, which lives in a file of its own.

A sealed value is ``nonce(12) || ciphertext || tag(16)``. What it is and whose it is are its associated data,
so a row that is copied over another one does not open.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from binary_split.errors import KeyEncryptionKeyError, KeyStoreDamagedError
from binary_split.files import write_secret
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

    def seal_check(self) -> bytes:
        """Return the check value by which a store knows its key-encryption key again."""
        return self._seal(_CHECK_VALUE, _CHECK_PURPOSE)

    def verify_check(self, sealed: bytes) -> None:
        """Prove that this is the key under which ``sealed`` was made by ``seal_check``.

        Raises:
            KeyEncryptionKeyError: it is not.
        """
        try:
            self._open(sealed, _CHECK_PURPOSE)
        except InvalidTag:
            raise KeyEncryptionKeyError("the key-encryption key is not the one of this store") from None

    def _seal(self, plain: bytes, purpose: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, purpose)

    def _open(self, sealed: bytes, purpose: bytes) -> bytes:
        if len(sealed) < _OVERHEAD_BYTES:
            raise InvalidTag
        return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose)


def create_envelope(path: Path) -> Envelope:
    """Make a new key-encryption key, write it to a new file with mode 0600, and return its envelope.

    Raises:
        OutputError: the file exists, or cannot be written.
    """
    key = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
    write_secret(path, key)
    return Envelope(key)


def read_envelope(path: Path) -> Envelope:
    """Read the key-encryption key. Never makes one: a new key opens nothing that is stored.

    Raises:
        KeyEncryptionKeyError: the file is missing, open to others, or holds no 32 bytes.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise KeyEncryptionKeyError(f"cannot read the key-encryption key {path}: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise KeyEncryptionKeyError(
            f"the key-encryption key {path} is open to others (mode {stat.S_IMODE(mode):04o})",
            hint=f"Run `chmod 600 {path}`, and consider who may have read it.",
        )
    if len(key) != KEY_BYTES:
        raise KeyEncryptionKeyError(f"the key-encryption key {path} is not exactly {KEY_BYTES} bytes long")
    return Envelope(key)
