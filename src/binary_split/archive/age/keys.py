"""Keys as text: recipients ``age1…`` and ``age1pq1…``, identities ``AGE-SECRET-KEY-1…`` and ``…-PQ-1…``."""

from __future__ import annotations

import os

from binary_split.archive.age import hybrid, x25519
from binary_split.archive.age.bech32 import decode_bech32, encode_bech32
from binary_split.archive.age.hybrid import HybridIdentity, HybridRecipient
from binary_split.archive.age.x25519 import X25519Identity, X25519Recipient
from binary_split.config import LIMITS
from binary_split.errors import ConfigError, SecretFileError

_RECIPIENT = "age"
_RECIPIENT_PQ = "age1pq"
_IDENTITY = "age-secret-key-"
_IDENTITY_PQ = "age-secret-key-pq-"


def parse_recipient(text: str) -> X25519Recipient | HybridRecipient:
    """Parse one recipient, in lower case as age writes it.

    Raises:
        ConfigError: it is no recipient of a type that we know.
    """
    try:
        prefix, raw = _decode(text)
    except ValueError as error:
        raise ConfigError(f"not an age recipient ({error}): {text[:80]!r}") from error
    if text == text.lower() and (prefix, len(raw)) == (_RECIPIENT, x25519.KEY_BYTES):
        return X25519Recipient(raw)
    if text == text.lower() and (prefix, len(raw)) == (_RECIPIENT_PQ, hybrid.PUBLIC_BYTES):
        return HybridRecipient(raw)
    raise ConfigError(f"not an age recipient of a known type: {text[:80]!r}")


def serialise_recipient(recipient: X25519Recipient | HybridRecipient) -> str:
    """Return the text of a recipient."""
    prefix = _RECIPIENT if isinstance(recipient, X25519Recipient) else _RECIPIENT_PQ
    return encode_bech32(prefix, recipient.public)


def parse_identity(text: str) -> X25519Identity | HybridIdentity:
    """Parse one identity, in upper case as age writes it.

    Raises:
        SecretFileError: it is no identity of a type that we know; the message holds nothing of it.
    """
    try:
        prefix, raw = _decode(text)
    except ValueError as error:
        # Not chained: the cause's frames hold the secret.
        raise SecretFileError(f"not an age identity: {error}") from None
    if text == text.upper() and (prefix, len(raw)) == (_IDENTITY, x25519.KEY_BYTES):
        return X25519Identity(raw)
    if text == text.upper() and (prefix, len(raw)) == (_IDENTITY_PQ, hybrid.SEED_BYTES):
        return HybridIdentity(raw)
    raise SecretFileError("not an age identity of a known type")


def parse_identities(text: str) -> tuple[X25519Identity | HybridIdentity, ...]:
    """Parse an identity file as `age-keygen` writes it: one a line, comments behind ``#``, blank lines.

    Raises:
        SecretFileError: a line is no identity, or there is none.
    """
    lines = [line.strip() for line in text.splitlines()]
    identities = tuple(parse_identity(line) for line in lines if line and not line.startswith("#"))
    if not identities:
        raise SecretFileError("the identity file holds no identity")
    return identities


def generate_identity_text() -> str:
    """Return a new X25519 identity as text, from the system's CSPRNG."""
    return encode_bech32(_IDENTITY, os.urandom(x25519.KEY_BYTES)).upper()


def _decode(text: str) -> tuple[str, bytes]:
    if len(text) > LIMITS.age_key_text_bytes:
        raise ValueError("too long")
    return decode_bech32(text)
