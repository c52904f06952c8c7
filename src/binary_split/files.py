"""Files on disk: results that appear only when complete, secrets that are read with care."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from binary_split.errors import OutputError, SecretFileError

_NAME_MAX = 200  # bytes, of 255: so that a suffix fits


class _OutputFile(io.FileIO):
    """An unbuffered file for writing whose writes are whole and whose failures are ours."""

    def __init__(self, descriptor: int, path: Path) -> None:
        super().__init__(descriptor, "wb")
        self._path = path

    def write(self, chunk: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        view = memoryview(chunk)
        written = 0
        with _mapped(self._path):
            while written < len(view):
                written += super().write(view[written:]) or 0
        return written


@contextmanager
def _mapped(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        hint = "Name a file that does not exist yet."
        raise OutputError(f"{path} exists already and is not overwritten", hint=hint) from None
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def write_atomically(path: Path, *, mode: int = 0o666, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only when the block ends well.

    It is written without a name (so that not even ``kill -9`` leaves anything), or under a temporary one
    where the file system cannot do that, fsynced and renamed. A device or a pipe is written to directly.

    Args:
        path: the final name; a symbolic link is followed.
        mode: permission bits, before the umask.
        overwrite: whether an older file may be replaced.

    Raises:
        OutputError: the file cannot be written; an older one was not touched.
    """
    if not overwrite:
        with _reserve(path, mode), _replace(path, mode) as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    with _mapped(path):
        kind = stat.S_IFMT(path.stat().st_mode) if path.exists() else None
    if kind == stat.S_IFDIR:
        raise OutputError(f"cannot write {path}: it is a folder")
    if kind not in {None, stat.S_IFREG}:  # a rename would replace the device itself
        with _mapped(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        with _OutputFile(descriptor, path) as device:
            yield device
    else:
        with _replace(path, mode) as file:
            yield file


@contextmanager
def _reserve(path: Path, mode: int) -> Iterator[None]:
    """Take a name with an empty file: unlike a hard link that works on FAT too, where fragments travel."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with _mapped(path):
        os.close(os.open(path, flags, mode))
    try:
        yield
    except BaseException:
        _remove(path)
        raise


@contextmanager
def _replace(path: Path, mode: int, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Write aside, and give the name at the end; where no older file may have it, by a hard link."""
    name = os.fsdecode(os.fsencode(path.name)[:_NAME_MAX])
    temporary = path.with_name(f".{name}.{os.urandom(4).hex()}.part")
    with _mapped(path):
        descriptor, is_named = _create(temporary, mode)
    try:
        with _OutputFile(descriptor, path) as file:
            yield file
            with _mapped(path):
                os.fsync(descriptor)
                if not is_named:
                    _give_name(descriptor, temporary if overwrite else path)
        with _mapped(path):
            if overwrite:
                temporary.replace(path)
            elif is_named:
                _link(temporary, path, mode)
                temporary.unlink(missing_ok=True)
            sync_folder(path.parent)
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    """Remove a file that came to nothing; what went wrong before is what must be told."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _link(temporary: Path, path: Path, mode: int) -> None:
    """Give a name that is free to a file that is whole; FAT has no links, and there it is taken first."""
    try:
        path.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP}:
            raise
        with _reserve(path, mode):
            temporary.replace(path)


def _create(temporary: Path, mode: int) -> tuple[int, bool]:
    """Return a new file's descriptor and whether it has the temporary name already."""
    if os.access("/proc/self/fd", os.X_OK):
        with contextlib.suppress(OSError):
            return os.open(temporary.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode), False
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(temporary, flags, mode), True


def _give_name(descriptor: int, path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # a folder's descriptor makes this linkat(2), which alone follows the /proc link
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def is_visible(path: Path) -> bool:
    """Whether something is there as far as this user may see; pathlib's own way raises in a closed folder."""
    return os.path.exists(path)  # noqa: PTH110


def is_visible_folder(path: Path) -> bool:
    """Whether a folder is there as far as this user may see."""
    return os.path.isdir(path)  # noqa: PTH112


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_secret(path: Path, secret: bytes) -> None:
    """Write a file that holds a secret: mode 0600, complete or not at all, never over another file.

    Not even ``kill -9`` leaves an empty one under its name, where the file system has hard links.

    Raises:
        OutputError: it exists already or cannot be written.
    """
    with _mapped(path):
        if os.path.lexists(path):
            raise FileExistsError
    with _replace(path, 0o600, overwrite=False) as file:
        file.write(secret)


@contextmanager
def secret_output(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Give a function that writes the secret to ``path``; take the file back if the block fails after.

    Raises:
        OutputError: as ``write_secret``.
    """
    is_written = False

    def deliver(secret: bytes) -> None:
        nonlocal is_written
        write_secret(path, secret)
        is_written = True

    try:
        yield deliver
    except BaseException:
        if is_written:
            _remove(path)
        raise


@contextmanager
def reserved_secret(path: Path, *, max_bytes: int) -> Iterator[Callable[[bytes], None]]:
    """Take a new file (mode 0600) and room on its disk, and give a function that writes the secret there.

    For a secret that comes once: what can go wrong with its file does so before. If the block fails
    there is no file.

    Raises:
        OutputError: the file exists already, or cannot be written.
    """
    with write_atomically(path, mode=0o600, overwrite=False) as file:
        with _mapped(path):
            os.posix_fallocate(file.fileno(), 0, max_bytes)

        def deliver(secret: bytes) -> None:
            file.write(secret)
            with _mapped(path):
                file.truncate(len(secret))

        yield deliver


def read_secret(path: Path, *, what: str, max_bytes: int, is_private: bool = False) -> bytes:
    """Read a file that holds a secret, byte-exact; ``-`` is stdin.

    Args:
        path: where it is.
        what: what it holds, for messages.
        max_bytes: how long it may be.
        is_private: it must be closed to its group and others.

    Raises:
        SecretFileError: it cannot be read, is empty, longer than ``max_bytes``, or open to others.
    """
    try:
        if str(path) == "-":
            if sys.stdin is None:  # the program was started with it closed
                raise SecretFileError(f"there is no stdin to read the {what} from")
            secret = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_ISDIR(mode):
                    raise SecretFileError(f"the {what} file {path} is a folder")
                if is_private and stat.S_IMODE(mode) & 0o077:
                    raise SecretFileError(
                        f"the {what} file {path} is open to others (mode {stat.S_IMODE(mode):04o})",
                        hint=f"Run `chmod 600 {path}`, and consider who may have read it.",
                    )
                secret = file.read(max_bytes + 1)
    except OSError as error:
        raise SecretFileError(f"cannot read the {what} file {path}: {error.strerror or error}") from error
    if not secret:
        raise SecretFileError(f"the {what} file {path} is empty")
    if len(secret) > max_bytes:
        raise SecretFileError(f"the {what} file {path} is longer than {max_bytes} bytes")
    return secret
