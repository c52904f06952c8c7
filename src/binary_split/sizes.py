"""Sizes and numbers in words, the same everywhere that a person reads or writes them."""

from __future__ import annotations

import re

from binary_split.errors import ConfigError

_SIZE = re.compile(r"([1-9][0-9]{0,12})([KMG]?)")
_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def format_size(size: float) -> str:
    """Return a size, given in bytes, in words: ``2.1 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def parse_size(text: str) -> int:
    """Parse a size as split(1) has it: ``3900M`` is 3900 times 1024 times 1024 bytes.

    Raises:
        ConfigError: it is none.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ConfigError(f"not a size: {text[:40]!r}", hint="Write bytes, or 700M, 2G.")
    return int(match[1]) * _FACTORS[match[2]]


def format_count(count: int, noun: str) -> str:
    """Return a number of things in words: ``1 image``, ``2 images``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
