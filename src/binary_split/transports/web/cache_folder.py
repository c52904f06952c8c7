"""A folder of blocks that is bounded in size, whoever writes to it and whenever one of them is killed."""

from __future__ import annotations

import fcntl
import io
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from binary_split.config import LIMITS
from binary_split.transports.options import Note

_BLOCK_NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{8}")
_LOCK, _PART = "lock", "part"
_TOTAL_DIGITS = 20


class CacheFolder:
    """A folder that any number of processes share; for any number of threads.

    Its file ``lock`` is held by who writes, and says how many bytes all blocks have, or more. What is read
    needs no lock: a block has its name only when it is whole. There is one file ``part``, of whoever has the
    lock.

    Args:
        path: of the folder, which is made.
        max_bytes: of all blocks.
        own: how the names begin that are the last to be removed.
        note: is told once that nothing more is kept, and why.

    Raises:
        OSError: the folder cannot be used.
    """

    def __init__(self, path: Path, *, max_bytes: int, own: str, note: Note) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._own = own
        self._note = note
        self._mutex = threading.Lock()
        self._is_open = self._is_keeping = True
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._lock = os.open(path / _LOCK, flags, 0o600)
        try:
            with suppress(BlockingIOError), self._locked():
                self._make_room(max_bytes, spares_own=False)
        except BaseException:
            self.close()
            raise

    def read(self, name: str, size: int) -> bytes | None:
        """Return up to ``size`` bytes of a block; None where there is none that can be read."""
        try:
            descriptor = os.open(
                self._path / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            with io.FileIO(descriptor, "rb") as file:
                return file.read(size)
        except OSError:
            return None

    def write(self, name: str, parts: Sequence[bytes | bytearray]) -> None:
        """Keep a block, if there is room; whatever goes wrong, it is only not kept."""
        if not self._is_keeping:
            return
        try:
            with self._locked():
                if self._has_room(sum(map(len, parts))):
                    self._write(name, parts)
        except BlockingIOError:  # somebody has stopped in the middle, and will go on or be killed
            return
        except OSError as error:
            self._stop(f"cannot write to the cache {self._path}: {error.strerror or error}")

    def remove(self, name: str) -> None:
        """Keep a block no more. It counts until the next time that there is no room."""
        with suppress(OSError):
            (self._path / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Keep nothing more."""
        with self._mutex:
            if self._is_open:
                os.close(self._lock)
            self._is_open = self._is_keeping = False

    def _write(self, name: str, parts: Sequence[bytes | bytearray]) -> None:
        """Write aside and rename, without an fsync: what a power cut garbles does not verify."""
        self._note_total(self._total() + sum(map(len, parts)))  # first: who is killed has counted too much
        aside = self._path / _PART
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(aside, flags, 0o600), "wb") as file:
                file.writelines(parts)
            aside.rename(self._path / name)
        except OSError:
            aside.unlink(missing_ok=True)
            raise

    def _has_room(self, size: int) -> bool:
        disk = os.statvfs(self._path)
        if disk.f_bavail * disk.f_frsize < size + LIMITS.cache_reserve_bytes:
            self._stop(f"the disk of the cache {self._path} is almost full")
            return False
        if self._total() + size <= self._max_bytes:
            return True
        # More than is needed now, so that not each block has the whole folder looked at.
        aim = self._max_bytes - max(size, self._max_bytes // 16)
        if self._make_room(aim, spares_own=True) + size <= self._max_bytes:
            return True
        self._stop(f"the cache {self._path} is full of this archive")
        return False

    def _make_room(self, aim: int, *, spares_own: bool) -> int:
        """Remove blocks, the oldest first and our own last or never, down to ``aim``; return what is left."""
        (self._path / _PART).unlink(missing_ok=True)  # of somebody who was killed: the lock is ours
        found = []
        with os.scandir(self._path) as entries:
            for entry in entries:
                if _BLOCK_NAME.fullmatch(entry.name):
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        is_own = entry.name.startswith(self._own)
                        found.append((is_own, status.st_mtime_ns, entry.name, status.st_size))
        total = sum(size for *_order, size in found)
        for is_own, _age, name, size in sorted(found):
            if total <= aim or (is_own and spares_own):
                break
            (self._path / name).unlink(missing_ok=True)
            total -= size
        self._note_total(total)
        return total

    def _total(self) -> int:
        text = os.pread(self._lock, _TOTAL_DIGITS, 0)
        return int(text) if text.isdigit() else self._make_room(self._max_bytes, spares_own=True)

    def _note_total(self, total: int) -> None:
        os.pwrite(self._lock, b"%0*d" % (_TOTAL_DIGITS, total), 0)

    def _stop(self, why: str) -> None:
        if self._is_keeping:
            self._is_keeping = False
            self._note(f"{why}: nothing more is kept there")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other threads and processes out.

        Raises:
            BlockingIOError: another one has not left in time, or this was closed.
            OSError: this file system has no locks.
        """
        with self._mutex:
            if not self._is_open:
                raise BlockingIOError
            until = time.monotonic() + LIMITS.cache_lock_s
            while not self._try_lock():
                if time.monotonic() > until:
                    raise BlockingIOError
                time.sleep(0.002)
            try:
                yield
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
