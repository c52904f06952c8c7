"""Reading a source at any place, from several threads: what both formats' seekable readers stand on."""

from __future__ import annotations

import io
import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from binary_split.errors import ArchiveUnreadableError
from binary_split.model import Readable

Stretches = Sequence[tuple[int, int]]
"""Places in a source, each by its offset and its size, in bytes."""


class SeekableSource(Readable, Protocol):
    """A source of which every part can be read at any time."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to ``offset`` and return the new position."""

    def tell(self) -> int:
        """Return the position."""


class SeekableBytes(io.RawIOBase):
    """A read-only raw file of a known length: its position.

    Attributes:
        size: in bytes.
    """

    size: int
    _position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position; nothing is read yet."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position


class SharedBytes(SeekableBytes):
    """One of which many threads read any part at once, as `Positioned` has them."""

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read some bytes; 0 at the end.

        Raises:
            ArchiveError: as for `read_at`.
            ValueError: it is closed.
        """
        if self.closed:
            raise ValueError("read of a closed archive")
        count = self.read_at(self._position, memoryview(buffer))
        self._position += count
        return count

    @abstractmethod
    def read_at(self, offset: int, target: memoryview, /) -> int:
        """Read some bytes at ``offset``, whatever the position, which stays; 0 at the end. For any thread."""


class Positioned:
    """Reads a seekable source at any place, from several threads; what it raises of our own errors passes.

    A source that has ``read_at(offset, target) -> int``, as a file has, is read by all of them at once; any
    other by one thread after the other. One that has ``confirm(offset, size)`` and ``doubt(offset, sealed)
    -> bool`` is told which of its bytes were authentic, and asked for others where some were not. One that
    has ``expect(stretches)`` is told what will be read of it.
    """

    def __init__(self, source: SeekableSource) -> None:
        self._source = source
        self._read_at = getattr(source, "read_at", None) or self._seek_and_read
        self._confirm: Callable[[int, int], None] | None = getattr(source, "confirm", None)
        self._doubt: Callable[[int, memoryview], bool] | None = getattr(source, "doubt", None)
        self._expect: Callable[[Stretches], None] | None = getattr(source, "expect", None)
        self._lock = threading.Lock()

    def size(self) -> int:
        """Return where the source ends.

        Raises:
            ArchiveUnreadableError: the source failed.
        """
        try:
            return self._source.seek(0, os.SEEK_END)
        except OSError as error:
            raise unreadable(error) from error

    def read_at(self, offset: int, target: memoryview) -> None:
        """Fill ``target`` from ``offset``.

        Raises:
            ArchiveUnreadableError: the source failed, or is shorter than it was.
        """
        filled = 0
        try:
            while filled < len(target):
                count = self._read_at(offset + filled, target[filled:])
                if not count:
                    raise ArchiveUnreadableError("the archive became shorter while it was read")
                filled += count
        except OSError as error:
            raise unreadable(error) from error

    def expect(self, stretches: Stretches) -> None:
        """Tell the source what will be read of it: it need not ask for more ahead."""
        if self._expect is not None:
            self._expect(stretches)

    def confirm(self, offset: int, size: int) -> None:
        """Tell the source that bytes which it gave are authentic."""
        if self._confirm is not None:
            self._confirm(offset, size)

    def doubt(self, offset: int, sealed: memoryview) -> bool:
        """Tell the source that bytes which it gave are not authentic; whether there may be others now."""
        return self._doubt is not None and self._doubt(offset, sealed)

    def _seek_and_read(self, offset: int, target: memoryview) -> int:
        readinto = getattr(self._source, "readinto", None)
        with self._lock:
            self._source.seek(offset)
            if readinto is not None:
                return readinto(target) or 0
            part = read_some(self._source, len(target))
        target[: len(part)] = part
        return len(part)


def read_some(source: Readable, size: int) -> bytes:
    """Read once from ``source``: up to ``size`` bytes, none at its end.

    Raises:
        ArchiveUnreadableError: the source failed; what it raises of our own errors passes.
    """
    try:
        part = source.read(size)
    except OSError as error:
        raise unreadable(error) from error
    if part is None:
        raise ArchiveUnreadableError("cannot read the archive: its source does not block")
    return part


def unreadable(error: OSError) -> ArchiveUnreadableError:
    """Return our error for a source's own."""
    return ArchiveUnreadableError(f"cannot read the archive: {error.strerror or error}")
