"""A disk of any size, which fills up like a real one: a file with a file system in it, mounted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from bed.unavailable import Unavailable


class SmallDisk:
    """An ext4 file system on a loop device; use it as a context manager.

    Args:
        size: in bytes; some MiB of it are the file system's own.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._folder: Path | None = None

    @property
    def path(self) -> Path:
        """Where it is mounted; short enough for sockets in it."""
        if self._folder is None:
            raise RuntimeError("the disk is not mounted")
        return self._folder / "d"

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise Unavailable("loop device", "only root can mount one")
        if shutil.which("mkfs.ext4") is None:
            raise Unavailable("loop device", "there is no mkfs.ext4")
        self._folder = Path(tempfile.mkdtemp(prefix="disk-", dir="/tmp"))
        image = self._folder / "image"
        image.touch()
        os.truncate(image, self._size)
        self.path.mkdir()
        commands: list[list[str | Path]] = [
            ["mkfs.ext4", "-q", "-m", "0", image],
            ["mount", "-o", "loop", image, self.path],
        ]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                shutil.rmtree(self._folder)
                raise Unavailable("loop device", done.stderr.strip())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            subprocess.run(["umount", "--lazy", self.path], check=True, capture_output=True)
            shutil.rmtree(self._folder)
            self._folder = None

    def fill(self, *, leave: int = 0) -> Path:
        """Take all of its room but ``leave`` bytes with one file, and return it."""
        status = os.statvfs(self.path)
        path = self.path / "filler"
        with path.open("wb") as file:
            size = status.f_bavail * status.f_frsize - max(leave, 1 << 20)
            os.posix_fallocate(file.fileno(), 0, size)
            while not leave:  # what the file system needs for itself is known when nothing more goes in
                try:
                    os.posix_fallocate(file.fileno(), size, 4096)
                except OSError:
                    break
                size += 4096
        return path
