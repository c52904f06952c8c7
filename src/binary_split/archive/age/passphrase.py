"""The scrypt recipient type, alone in its header (C2SP age.md, "The scrypt recipient type")."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from binary_split.archive.age.crypto import check_wrapped, unwrap_file_key, wrap_file_key
from binary_split.archive.age.encoding import decode_base64, encode_base64
from binary_split.archive.age.header import SCRYPT, Stanza
from binary_split.config import LIMITS, Limits
from binary_split.errors import ArchiveFormatError, SecretFileError

_SALT_BYTES = 16
_LABEL = b"age-encryption.org/v1/scrypt"
_LOG_N = re.compile(r"[1-9][0-9]{0,2}")


class PassphraseRecipient:
    """Whoever knows a passphrase; it appears in no repr.

    Args:
        passphrase: as typed; its UTF-8 bytes are what is hashed.
        log_n: base-two logarithm of the scrypt work factor; memory is 1 KiB << log_n.

    Raises:
        SecretFileError: the passphrase holds half a character.
    """

    def __init__(self, passphrase: str, *, log_n: int = LIMITS.age_scrypt_log_n) -> None:
        self._passphrase = _encode(passphrase)
        self._log_n = log_n

    def wrap(self, file_key: bytes) -> Sequence[Stanza]:
        """Wrap a file key under a fresh salt.

        Raises:
            ArchiveFormatError: this machine lacks the memory that the work factor asks for.
        """
        salt = os.urandom(_SALT_BYTES)
        wrap_key = _stretch(self._passphrase, salt, self._log_n)
        arguments = (encode_base64(salt), str(self._log_n))
        return (Stanza(SCRYPT, arguments, wrap_file_key(wrap_key, file_key)),)


class PassphraseIdentity:
    """A passphrase that opens; it appears in no repr.

    Raises:
        SecretFileError: the passphrase holds half a character.
    """

    def __init__(self, passphrase: str, *, limits: Limits = LIMITS) -> None:
        self._passphrase = _encode(passphrase)
        self._limits = limits

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """Return the file key, where the passphrase is the right one.

        Raises:
            ArchiveFormatError: the stanza is malformed, is not alone, or asks for more work than
                ``limits.age_scrypt_log_n_max``: told before any of it is done.
        """
        if not any(stanza.kind == SCRYPT for stanza in stanzas):
            return None
        if len(stanzas) != 1:
            raise ArchiveFormatError("a passphrase stanza must be alone in the age header")
        salt, log_n = _parse(stanzas[0], self._limits)
        return unwrap_file_key(_stretch(self._passphrase, salt, log_n), stanzas[0].body)


def _parse(stanza: Stanza, limits: Limits) -> tuple[bytes, int]:
    if len(stanza.arguments) != 2:
        raise ArchiveFormatError("a passphrase stanza has two arguments, salt and work factor")
    salt_text, log_n_text = stanza.arguments
    salt = decode_base64(salt_text, size=_SALT_BYTES)
    check_wrapped(stanza.body)
    if not _LOG_N.fullmatch(log_n_text):
        raise ArchiveFormatError("the work factor of a passphrase stanza is malformed or huge")
    log_n = int(log_n_text)
    if log_n > limits.age_scrypt_log_n_max:
        raise ArchiveFormatError(
            f"the passphrase stanza asks for a work factor of 2^{log_n}; "
            f"at most 2^{limits.age_scrypt_log_n_max} is done"
        )
    return salt, log_n


def _encode(passphrase: str) -> bytes:
    try:
        return passphrase.encode()
    except UnicodeEncodeError:
        # Not chained: the cause holds the secret.
        raise SecretFileError("the passphrase is not valid text") from None


def _stretch(passphrase: bytes, salt: bytes, log_n: int) -> bytes:
    try:
        return Scrypt(_LABEL + salt, 32, 1 << log_n, 8, 1).derive(passphrase)
    except MemoryError as error:
        raise ArchiveFormatError(f"the passphrase needs {1 << log_n} KiB of memory to check") from error
