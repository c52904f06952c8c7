"""What must wait on disk between two passes, encrypted under a key that only this process has."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from binary_split.archive.age import SeekableReader, StreamWriter
from binary_split.config import LIMITS
from binary_split.errors import OutputError


class Spool:
    """A file without a name that is written once, from front to end, and then read anywhere.

    Args:
        folder: where it takes its space.

    Raises:
        OutputError: there is no room for it.
    """

    def __init__(self, folder: Path) -> None:
        self._key = os.urandom(32)
        try:
            # unbuffered, so that a full disk shows at the write and not when it is closed
            self._file: BinaryIO = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise _full(error) from error
        self._writer = StreamWriter(self._file, self._key)
        self._reader: SeekableReader | None = None
        self.size = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.abandon()
        if self._reader is not None:
            self._reader.close()
        self._file.close()

    def write(self, chunk: bytes | memoryview) -> None:
        """Append some bytes."""
        try:
            self._writer.write(chunk)
        except OSError as error:
            raise _full(error) from error
        self.size += len(chunk)

    def read(self, start: int, size: int) -> Iterator[bytes]:
        """Give a stretch of what was written; the first call ends the writing."""
        if self._reader is None:
            self._finish()
        reader = self._reader
        if reader is None:
            return
        reader.seek(start)
        while size:
            chunk = reader.read(min(size, LIMITS.chunk_bytes))
            size -= len(chunk)
            yield chunk
            reader.seek(start := start + len(chunk))

    def _finish(self) -> None:
        try:
            self._writer.finish()
        except OSError as error:
            raise _full(error) from error
        self._reader = SeekableReader(self._file, self._key, start=0)


def _full(error: OSError) -> OutputError:
    return OutputError(f"cannot spool the layers: {error.strerror or error}")
