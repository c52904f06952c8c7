"""Sizes, times and numbers in words, the same everywhere that a person reads or writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from binary_split.errors import ConfigError

_SIZE = re.compile(r"([1-9][0-9]{0,12})([KMG]?)")
_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_RATE = re.compile(r"([1-9][0-9]{0,9})([kMG]?)")
_RATE_FACTORS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}
_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


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
    return _parse(text, _SIZE, _FACTORS, "size", "Write bytes, or 700M, 2G.")


def parse_rate(text: str) -> int:
    """Parse a rate in bytes a second: ``500k`` is 500,000.

    Raises:
        ConfigError: it is none.
    """
    return _parse(text, _RATE, _RATE_FACTORS, "rate", "Write bytes a second, or 500k, 2M, 1G.")


def parse_duration(text: str) -> int:
    """Parse a time in seconds: ``90s``, ``30m``, ``6h`` or ``2d``.

    Raises:
        ConfigError: it is none.
    """
    return _parse(text, _DURATION, _SECONDS, "time", "Write 90s, 30m, 6h or 2d.")


def format_count(count: int, noun: str) -> str:
    """Return a number of things in words: ``1 image``, ``2 images``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _parse(text: str, form: re.Pattern[str], factors: Mapping[str, int], what: str, hint: str) -> int:
    match = form.fullmatch(text)
    if match is None:
        raise ConfigError(f"not a {what}: {text[:40]!r}", hint=hint)
    return int(match[1]) * factors[match[2]]
