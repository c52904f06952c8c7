"""Unpadded, canonical base64 as age headers use it (C2SP age.md, "Conventions"; RFC 4648, 3.5)."""

from __future__ import annotations

import base64
import binascii

from binary_split.errors import ArchiveFormatError


def encode_base64(raw: bytes) -> str:
    """Return the standard base64 of ``raw`` without padding."""
    return base64.b64encode(raw).decode("ascii").rstrip("=")


def decode_base64(text: str, *, size: int | None = None) -> bytes:
    """Decode what `encode_base64` writes, and nothing else.

    Args:
        text: base64 without padding, line ends or stray bits.
        size: how many bytes it must hold; None for any number.

    Raises:
        ArchiveFormatError: the text is not canonical, or holds another number of bytes.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ArchiveFormatError("the age header holds bad base64") from error
    if encode_base64(raw) != text:  # padding of its own, or bits behind the last byte
        raise ArchiveFormatError("the age header holds base64 that is not canonical")
    if size is not None and len(raw) != size:
        raise ArchiveFormatError(f"the age header holds {len(raw)} bytes where {size} belong")
    return raw
