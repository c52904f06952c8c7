"""Which format an archive has, told by its content, never by its name."""

from __future__ import annotations

from enum import StrEnum

from binary_split.archive.cbc import BLOCK

_AGE_MAGIC = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")


class ArchiveFormat(StrEnum):
    """A format of archives; ``UNKNOWN``: it cannot be an archive."""

    AGE = "age"
    CBC = "cbc"
    UNKNOWN = "unknown"


def detect_format(head: bytes, size: int) -> ArchiveFormat:
    """Tell the format. ``cbc`` has no mark of its own: it is what has a possible length.

    Args:
        head: the archive's first bytes, 64 or all.
        size: its length in bytes.
    """
    if is_age(head):
        return ArchiveFormat.AGE
    if size >= 2 * BLOCK and size % BLOCK == 0:
        return ArchiveFormat.CBC
    return ArchiveFormat.UNKNOWN


def is_age(head: bytes) -> bool:
    """Whether these are the first bytes of an ``age`` file, armored or not."""
    return head.startswith(_AGE_MAGIC)
