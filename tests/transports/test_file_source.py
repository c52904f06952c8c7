"""An archive that is a local file, read once: as always, but that the page cache is left as it was."""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from binary_split.config import MIB
from binary_split.errors import ArchiveUnreadableError
from binary_split.transports.file import FileSource

CONTENT = bytes(range(256)) * (4 * MIB // 256)
PAGES = len(CONTENT) // mmap.PAGESIZE


@pytest.fixture
def path() -> Iterator[Path]:
    """A file on a disk, of which nothing is in memory."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        path = Path(folder) / "archive"
        path.write_bytes(CONTENT)
        _forget(path)
        yield path


def _forget(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _in_memory(path: Path) -> int:
    """Return how many pages of a file are in the page cache (mincore(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as mapped:
        pages = (ctypes.c_ubyte * (len(CONTENT) // mmap.PAGESIZE))()
        start = ctypes.addressof((ctypes.c_char * len(CONTENT)).from_buffer(mapped))
        assert libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(len(CONTENT)), pages) == 0
        return sum(page & 1 for page in pages)


def _read_all(source: FileSource) -> bytes:
    target = bytearray(len(CONTENT))
    done = 0
    while count := source.read_at(done, memoryview(target)[done : done + MIB]):
        done += count
    return bytes(target)


def _can_pass_by(path: Path) -> bool:
    """Whether kernel and file system can read past the page cache."""
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, 0x80) == 1
        except OSError:
            return False
        finally:
            _forget(path)


def test_what_is_read_once_is_not_kept_in_memory_where_the_kernel_can(path: Path) -> None:
    is_able = _can_pass_by(path)
    with FileSource(path, once=True) as source:
        assert _read_all(source) == CONTENT
    assert (_in_memory(path) < PAGES) == is_able


def test_what_was_in_memory_before_stays(path: Path) -> None:
    path.read_bytes()
    with FileSource(path, once=True) as source:
        assert _read_all(source) == CONTENT
    assert _in_memory(path) == PAGES


@pytest.mark.parametrize("once", [True, False])
def test_every_file_system_gives_the_same_bytes(once: bool) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:  # tmpfs is all page cache
        file.write(CONTENT)
        file.flush()
        with FileSource(Path(file.name), once=once) as source:
            assert _read_all(source) == CONTENT


def test_a_folder_is_refused_and_not_left_open(tmp_path: Path) -> None:
    before = _descriptors()
    with pytest.raises(ArchiveUnreadableError, match="directory"):
        FileSource(tmp_path)
    assert _descriptors() == before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
