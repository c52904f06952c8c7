"""An archive that is a local file."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from binary_split.errors import ArchiveUnreadableError

_RWF_DONTCACHE = 0x80
"""Drops from the page cache what a read brought there, and nothing else (Linux 6.14; not in `os` yet)."""


class FileSource(io.FileIO):
    """A regular file as a seekable byte source whose failures are ours.

    Args:
        path: of the file.
        once: what `read_at` reads is not read again: where the kernel can do so, gigabytes do not push the
            machine's own files out of its memory.

    Raises:
        ArchiveUnreadableError: it is missing, no regular file or block device, or the medium fails.
    """

    def __init__(self, path: Path, *, once: bool = False) -> None:
        self.path = path
        self._flags = _RWF_DONTCACHE if once else 0
        try:
            super().__init__(path, "rb", opener=_open_at_once)
            mode = os.fstat(self.fileno()).st_mode
        except OSError as error:
            raise self._unreadable(error) from error
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            self.close()
            raise ArchiveUnreadableError(f"cannot read the archive {path}: it is not a regular file")
        os.posix_fadvise(self.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read some bytes; 0 at the end."""
        try:
            return super().readinto(buffer) or 0
        except OSError as error:
            raise self._unreadable(error) from error

    def read(self, size: int | None = -1, /) -> bytes:
        """Read some bytes; ``b""`` at the end."""
        try:
            return super().read(-1 if size is None else size) or b""
        except OSError as error:
            raise self._unreadable(error) from error

    def read_at(self, offset: int, target: memoryview) -> int:
        """Read some bytes at ``offset``, whatever the position, which stays; 0 at the end. For any thread."""
        try:
            return os.preadv(self.fileno(), [target], offset, self._flags)
        except OSError as error:
            if self._flags and error.errno == errno.EOPNOTSUPP:  # this kernel or this file system cannot
                self._flags = 0
                return self.read_at(offset, target)
            raise self._unreadable(error) from error

    def cut(self) -> None:
        """Do nothing: no read of a file waits for somebody."""

    def _unreadable(self, error: OSError) -> ArchiveUnreadableError:
        return ArchiveUnreadableError(f"cannot read the archive {self.path}: {error.strerror or error}")


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO that nobody writes to would hang for ever
