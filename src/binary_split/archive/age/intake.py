"""Bounded reading of foreign bytes: by lines for a header, by blocks for a payload."""

from __future__ import annotations

import os

from binary_split.archive.positioned import SeekableSource, read_some, unreadable
from binary_split.errors import ArchiveFormatError
from binary_split.model import Readable

_BLOCK = 4096


class Intake:
    """Reads a source forward, with a small buffer; it may read a few KiB ahead of what it gives out."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._buffer = b""
        self.consumed = 0  # bytes given out so far

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end of the source.

        Raises:
            ArchiveUnreadableError: the source failed.
        """
        if not self._buffer:  # the way of whole chunks, without a copy
            self._buffer = read_some(self._source, size)
        if len(self._buffer) == size:
            whole, self._buffer = self._buffer, b""
            self.consumed += size
            return whole
        parts = [self._buffer[:size]]
        self._buffer = self._buffer[size:]
        missing = size - len(parts[0])
        while missing > 0:
            try:
                part = read_some(self._source, missing)
            except BaseException:
                self._buffer = b"".join(parts)  # nothing is lost for who tries again
                raise
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        self.consumed += size - missing
        return b"".join(parts)

    def readline(self, limit: int) -> bytes:
        """Return the next line without its LF.

        Args:
            limit: the most bytes that the line may have, its LF included.

        Raises:
            ArchiveFormatError: the line is longer, or the source ends before an LF.
            ArchiveUnreadableError: the source failed.
        """
        while (end := self._buffer.find(b"\n", 0, max(limit, 0))) < 0:
            if len(self._buffer) >= limit:
                raise ArchiveFormatError("the age header is too long")
            part = read_some(self._source, _BLOCK)
            if not part:
                raise ArchiveFormatError("the age header is cut off")
            self._buffer += part
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        self.consumed += end + 1
        return line

    def peek(self, size: int) -> bytes:
        """Return up to ``size`` of the next bytes without taking them, fewer only at the end.

        Raises:
            ArchiveUnreadableError: the source failed.
        """
        while len(self._buffer) < size and (part := read_some(self._source, max(_BLOCK, size))):
            self._buffer += part
        return self._buffer[:size]

    def at_end(self) -> bool:
        """Say whether nothing is left.

        Raises:
            ArchiveUnreadableError: the source failed.
        """
        return not self.peek(1)


def size_from_here(source: SeekableSource) -> int:
    """Return how many bytes follow the position, which stays.

    Raises:
        ArchiveUnreadableError: the source failed.
    """
    try:
        start = source.tell()
        end = source.seek(0, os.SEEK_END)
        source.seek(start)
    except OSError as error:
        raise unreadable(error) from error
    return max(end - start, 0)
