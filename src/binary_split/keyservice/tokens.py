"""What a token looks like, and what is kept of it: its hash, its public id, its life."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from cryptography.hazmat.primitives import hashes

from binary_split.errors import ConfigError, RecordError
from binary_split.keyservice.decision import FRAGMENT_READ
from binary_split.keyservice.names import ID_CHARACTERS, generate_id, is_id

TOKEN_PREFIX = "bsk_"  # noqa: S105 - what secret scanners look for, not a token
TOKEN_ID_PREFIX = "tok_"  # noqa: S105 - the start of a public id
_SECRET_BYTES = 32
_LIFETIME = re.compile(r"([1-9][0-9]{0,7})([dhm])")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_LONGEST_LIFETIME = timedelta(days=3650)
_LABEL_CHARACTERS = 200

SCOPES = (FRAGMENT_READ, "admin", "audit:read")

TokenState = Literal["active", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What the store knows of a token; all times in UTC.

    Attributes:
        token_id: its public id.
        key_id: the key that it opens by itself, or asks for when it names none.
        label: whose it is, for people.
        created: when it was issued.
        expires: from when on it does not work.
        revoked: when it was revoked.
        device_id: the device that it speaks for.
        scopes: what it is for, of ``SCOPES``.
    """

    token_id: str
    key_id: str | None
    label: str
    created: datetime
    expires: datetime
    revoked: datetime | None
    device_id: str | None = None
    scopes: frozenset[str] = frozenset({FRAGMENT_READ})

    def state_at(self, now: datetime) -> TokenState:
        """Return whether the token works; a revoked one stays revoked after its expiry."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if now >= self.expires else "active"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token, the only time that its text exists here; no repr shows it."""

    record: TokenRecord
    text: str = field(repr=False)


def generate_token() -> str:
    """Return a new token: the prefix and 32 random bytes in base64url."""
    return TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def generate_token_id() -> str:
    """Return a new public id, by which a token is listed and revoked."""
    return generate_id(TOKEN_ID_PREFIX)


def hash_token(text: str) -> bytes:
    """Return the SHA-256 of a token; quick is safe, since a token has 256 random bits."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(text.encode(errors="surrogatepass"))
    return digest.finalize()


def parse_token_id(text: str) -> str:
    """Return the text if it has the form of a token id.

    Raises:
        RecordError: it has not. The text is not repeated: it may be the token itself.
    """
    if not is_id(TOKEN_ID_PREFIX, text):
        raise RecordError(f"not a token id: one is {TOKEN_ID_PREFIX} and {ID_CHARACTERS} characters")
    return text


def parse_scopes(scopes: Collection[str]) -> frozenset[str]:
    """Return the scopes as a set.

    Raises:
        RecordError: there is none, or one that does not exist.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise RecordError(
            f"no such scope: {unknown[0][:50]!r}" if unknown else "a token needs a scope",
            hint=f"The scopes are {', '.join(SCOPES)}.",
        )
    return frozenset(scopes)


def parse_lifetime(text: str) -> timedelta:
    """Parse a lifetime such as ``90d``, ``12h`` or ``30m``.

    Raises:
        ConfigError: it has another form, or is longer than 3650 days.
    """
    match = _LIFETIME.fullmatch(text)
    if match is None:
        raise ConfigError(f"not a lifetime: {text[:50]!r}", hint="Write 90d, 12h or 30m.")
    lifetime = int(match[1]) * _UNITS[match[2]]
    if lifetime > _LONGEST_LIFETIME:
        raise ConfigError(f"a token lives for {_LONGEST_LIFETIME.days} days at most")
    return lifetime


def parse_label(text: str) -> str:
    """Return the text if it can be a label: one line, 200 characters at most.

    Raises:
        ConfigError: it cannot.
    """
    if len(text) > _LABEL_CHARACTERS or not text.isprintable():
        raise ConfigError(f"a label is one line of at most {_LABEL_CHARACTERS} printable characters")
    return text
