"""Unpadded, canonical base64url (RFC 4648, sections 3.5 and 5)."""

from __future__ import annotations

import base64


def encode_base64url(raw: bytes) -> str:
    """Return the base64url of ``raw`` without padding."""
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def decode_base64url(text: str) -> bytes:
    """Decode what `encode_base64url` writes, and nothing else.

    Raises:
        ValueError: it is anything else.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    if encode_base64url(raw) != text:  # padding of its own, another alphabet, or bits behind the last byte
        # Raised out here: what would be chained may hold the text, which may be a secret.
        raise ValueError("not canonical base64url")
    return raw
