"""The stretches in which an archive is asked for."""

from __future__ import annotations

from binary_split.archive.crew import Job
from binary_split.config import LIMITS
from binary_split.transports.web.places import Place


class Block:
    """A stretch of the archive that was asked for, and in time the bytes of it."""

    __slots__ = ("content", "is_kept", "is_wanted", "job", "offset", "place")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.content: bytes | bytearray = b""
        self.job: Job | None = None
        self.place: Place | None = None  # of the server that gave it
        self.is_kept = False
        self.is_wanted = False  # by a reader, who has read it or waits for it

    def holds(self, offset: int, sealed: memoryview) -> bool:
        """Whether what it has of a stretch is what was read there."""
        first, last = max(offset, self.offset), min(offset + len(sealed), self.offset + len(self.content))
        part = memoryview(self.content)[first - self.offset : last - self.offset]
        return part == sealed[first - offset : last - offset]


def block_starts(offset: int, size: int) -> range:
    """Return where the blocks of a stretch begin."""
    step = LIMITS.http_block_bytes
    return range(offset - offset % step, offset + size, step)
