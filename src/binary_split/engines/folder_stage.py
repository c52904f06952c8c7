"""Where what is loaded into an OCI folder waits until it is checked."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from binary_split.engines.api import Abort
from binary_split.errors import EngineAbortedError

_PREFIX = ".load-"


class Feed:
    """Gives what is loaded until that is aborted, and remembers the error that came out of it."""

    def __init__(self, chunks: Iterable[bytes | memoryview], abort: Abort) -> None:
        self.error: BaseException | None = None
        self._chunks = chunks
        self._abort = abort

    def __iter__(self) -> Iterator[bytes | memoryview]:
        chunks = iter(self._chunks)
        while not self._abort.is_set():
            try:
                chunk = next(chunks)
            except StopIteration:
                return
            except BaseException as error:
                self.error = error
                raise
            yield chunk
        raise EngineAbortedError("the load was ended before it was complete")


class Stage:
    """Keeps a load's blobs in files that are numbered, never named by the tar."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[str, Path] = {}
        self._file: BinaryIO | None = None

    def keep(self, name: str, chunk: memoryview) -> None:
        """Append to the file of a member; members come one after the other."""
        if name not in self._paths:
            self.close()
            self._paths[name] = self._folder / str(len(self._paths))
            self._file = self._paths[name].open("wb")
        if self._file:
            self._file.write(chunk)

    def close(self) -> None:
        """Bring the last file to disk."""
        if self._file:
            with self._file as file:
                file.flush()
                os.fsync(file.fileno())
            self._file = None

    def move(self, name: str, target: Path) -> None:
        """Give a member's file its final name; the same blob under another member's name is enough."""
        if not target.exists():
            self._paths[name].replace(target)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others, threads and processes, from changing a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def staging(folder: Path) -> Iterator[Stage]:
    """Give a stage within a folder, and remove what loads that were killed have left of theirs."""
    with locked(folder):
        for left in folder.glob(f"{_PREFIX}*"):
            _remove_if_left(left)
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # as long as this process lives
    stage = Stage(path)
    try:
        yield stage
    finally:
        with suppress(OSError):
            stage.close()
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def _remove_if_left(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
        finally:
            os.close(descriptor)
