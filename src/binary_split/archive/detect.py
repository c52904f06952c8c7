"""Which format an archive has, told by its content, never by its name."""

from __future__ import annotations

from enum import StrEnum

from binary_split.archive.cbc import BLOCK
from binary_split.errors import ArchiveDamagedError
from binary_split.model import ByteSource

HEAD_BYTES = 64
"""How many first bytes tell a format."""

_AGE_MAGIC = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")


class ArchiveFormat(StrEnum):
    """A format of archives; ``UNKNOWN``: it cannot be an archive."""

    AGE = "age"
    CBC = "cbc"
    UNKNOWN = "unknown"


def detect_format(head: bytes, size: int) -> ArchiveFormat:
    """Tell the format. ``cbc`` has no mark of its own: it is what has a possible length.

    Args:
        head: the archive's first ``HEAD_BYTES``, or all.
        size: its length in bytes.
    """
    if is_age(head):
        return ArchiveFormat.AGE
    if size >= 2 * BLOCK and size % BLOCK == 0:
        return ArchiveFormat.CBC
    return ArchiveFormat.UNKNOWN


def read_format(source: ByteSource) -> ArchiveFormat:
    """Tell an archive's format by its content; the source is left at its beginning.

    Raises:
        ArchiveDamagedError: no archive is as long as this.
    """
    size = source.seek(0, 2)
    source.seek(0)
    archive_format = detect_format(source.read(HEAD_BYTES) or b"", size)
    source.seek(0)
    if archive_format is ArchiveFormat.UNKNOWN:
        raise ArchiveDamagedError(f"wrong fragment or damaged archive: none is {size} bytes long")
    return archive_format


def is_age(head: bytes) -> bool:
    """Whether these are the first bytes of an ``age`` file, armored or not."""
    return head.startswith(_AGE_MAGIC)
