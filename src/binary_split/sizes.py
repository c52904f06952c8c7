"""Sizes and numbers in words, the same everywhere that a person reads them."""

from __future__ import annotations


def format_size(size: float) -> str:
    """Return a size, given in bytes, in words: ``2.1 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def format_count(count: int, noun: str) -> str:
    """Return a number of things in words: ``1 image``, ``2 images``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
