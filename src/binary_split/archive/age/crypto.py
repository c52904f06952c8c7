"""The primitives of age v1, as this codec calls them: pyca/cryptography and nothing else (C2SP age.md)."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from binary_split.errors import ArchiveDamagedError, ArchiveFormatError

FILE_KEY_BYTES = 16
WRAPPED_BYTES = FILE_KEY_BYTES + 16
_ZERO_NONCE = bytes(12)  # each wrap key is used once


def damaged(*, hint: str | None = None) -> ArchiveDamagedError:
    """Return the one error for whatever depends on a key: its words tell no cause from another."""
    return ArchiveDamagedError("wrong fragment or damaged archive", hint=hint)


def derive_key(secret: bytes, *, salt: bytes, info: bytes) -> bytes:
    """Return 32 bytes by HKDF-SHA-256 (RFC 5869)."""
    return HKDF(SHA256(), 32, salt, info).derive(secret)


def exchange_x25519(private: X25519PrivateKey, share: bytes) -> bytes:
    """Return the 32 byte X25519 shared secret (RFC 7748).

    Raises:
        ArchiveFormatError: the secret is all zero, for the share is a point of low order.
    """
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError as error:
        raise ArchiveFormatError("an age stanza holds a share of low order") from error


def wrap_file_key(wrap_key: bytes, file_key: bytes) -> bytes:
    """Seal a file key (16 bytes) into a stanza's body (32 bytes); ``wrap_key`` must never be used again."""
    return ChaCha20Poly1305(wrap_key).encrypt(_ZERO_NONCE, file_key, None)


def unwrap_file_key(wrap_key: bytes, body: bytes) -> bytes | None:
    """Open a stanza's body.

    Returns:
        The file key (16 bytes), or None where this key did not seal the body.

    Raises:
        ArchiveFormatError: the body is not 32 bytes; told before decrypting, so that one body cannot
            be made to fit many keys.
    """
    check_wrapped(body)
    try:
        return ChaCha20Poly1305(wrap_key).decrypt(_ZERO_NONCE, body, None)
    except InvalidTag:
        return None


def check_wrapped(body: bytes) -> None:
    """Check a stanza's body for the length of a wrapped file key.

    Raises:
        ArchiveFormatError: it is not 32 bytes.
    """
    if len(body) != WRAPPED_BYTES:
        raise ArchiveFormatError(f"an age stanza wraps {len(body)} bytes where {WRAPPED_BYTES} belong")


def header_mac(file_key: bytes, covered: bytes) -> bytes:
    """Return the header's MAC (32 bytes) over its text through ``---`` (C2SP age.md, "Header MAC")."""
    return _header_hmac(file_key, covered).finalize()


def verify_header_mac(file_key: bytes, covered: bytes, mac: bytes) -> None:
    """Verify the header's MAC in constant time.

    Raises:
        ArchiveDamagedError: it does not match.
    """
    try:
        _header_hmac(file_key, covered).verify(mac)
    except InvalidSignature as error:
        raise damaged() from error


def payload_key(file_key: bytes, nonce: bytes) -> bytes:
    """Return the key (32 bytes) of the payload behind ``nonce`` (16 bytes; C2SP age.md, "Payload")."""
    return derive_key(file_key, salt=nonce, info=b"payload")


def _header_hmac(file_key: bytes, covered: bytes) -> HMAC:
    mac = HMAC(derive_key(file_key, salt=b"", info=b"header"), SHA256())
    mac.update(covered)
    return mac
