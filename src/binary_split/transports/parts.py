"""An archive in parts, as it lies on media that take no large files: read as the one file that it was."""

from __future__ import annotations

import os
from bisect import bisect_right
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from binary_split.archive.positioned import SharedBytes
from binary_split.config import LIMITS
from binary_split.errors import ArchiveUnreadableError
from binary_split.files import is_visible
from binary_split.transports.file import FileSource
from binary_split.transports.part_list import ArchivePart, part_name, read_part_list, whole_name


class PartsSource(SharedBytes):
    """The parts of an archive as one seekable byte source.

    With the list beside them every part must be there and as long as it was. Without it they are taken as far
    as their numbers go; that the last one is there is then proven by the archive's own end.

    Args:
        first: the file of the first part.
        once: as `FileSource` has it.

    Raises:
        ArchiveUnreadableError: a part is missing or not as long as it was; names it.
        ArchiveFormatError: the list is malformed.
    """

    def __init__(self, first: Path, *, once: bool = False) -> None:
        self._opened = ExitStack()
        listed = read_part_list(first)
        paths = _find_parts(first) if listed is None else [first.with_name(part.name) for part in listed]
        try:
            self._files = [self._opened.enter_context(FileSource(path, once=once)) for path in paths]
            sizes = [file.seek(0, os.SEEK_END) for file in self._files]
        except BaseException:
            self._opened.close()
            raise
        self._ends = list(accumulate(sizes))
        self.size = self._ends[-1]
        for part, size in zip(listed or (), sizes, strict=False):
            if part.size != size:
                self.close()
                words = f"the part {part.name} is {size} bytes long, not {part.size}"
                raise ArchiveUnreadableError(words, hint="Copy this part again.")

    def read_at(self, offset: int, target: memoryview) -> int:
        """Read some bytes at ``offset``, as far as the part goes; 0 at the end. For any thread."""
        index = bisect_right(self._ends, offset)
        if index == len(self._files):
            return 0
        start = self._ends[index - 1] if index else 0
        return self._files[index].read_at(offset - start, target[: self._ends[index] - offset])

    def cut(self) -> None:
        """Do nothing: no read of a file waits for somebody."""

    def close(self) -> None:
        """Close every part."""
        self._opened.close()
        super().close()


def _find_parts(first: Path) -> list[Path]:
    name = whole_name(first)
    paths = (first.with_name(part_name(name, number)) for number in range(1, LIMITS.archive_parts + 1))
    found = []
    for path in paths:
        if not is_visible(path):
            break
        found.append(path)
    return found or [first]


def find_damaged_part(first: Path) -> ArchivePart | None:
    """Return the first part whose bytes are not those of the list; None where all are, or there is no list.

    Raises:
        ArchiveUnreadableError: a part cannot be read.
    """
    for part in read_part_list(first) or ():
        state = hashes.Hash(hashes.SHA256())
        with FileSource(first.with_name(part.name)) as file:
            while chunk := file.read(LIMITS.chunk_bytes):
                state.update(chunk)
        if state.finalize().hex() != part.sha256:
            return part
    return None
