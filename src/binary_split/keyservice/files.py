"""Files that hold a secret: made private, written whole or not at all, never over another file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from binary_split.errors import OutputError, SecretFileError


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file with mode 0600, durable when this returns.

    The name is taken first with an empty file of ours: unlike a hard link that works on FAT too, where
    fragments travel, and unlike a plain rename it cannot replace what someone else has put there.

    Raises:
        OutputError: the name is taken, or writing failed; nothing of ours is left.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise OutputError(f"{path} exists already", hint="Name a file that does not exist yet.") from None
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    try:
        _replace(path, content)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _replace(path: Path, content: bytes) -> None:
    number, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)  # mkstemp: mode 0600
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(path)
    except OSError:
        with suppress(OSError):
            Path(name).unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: the folder cannot be opened or synchronised.
    """
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def secret_output(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Give a function that writes the secret to ``path``; take the file back if the block fails after.

    Raises:
        OutputError: as ``write_secret``.
    """
    written = False

    def write(content: bytes) -> None:
        nonlocal written
        write_secret(path, content)
        written = True

    try:
        yield write
    except BaseException:
        if written:
            path.unlink(missing_ok=True)
        raise


def read_secret(path: Path, *, most: int) -> bytes:
    """Read a whole file of 1 to ``most`` bytes, byte-exact.

    Raises:
        SecretFileError: it cannot be read, is empty, or is longer.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise SecretFileError(f"cannot read {path}: {error.strerror}") from error
    if not content:
        raise SecretFileError(f"{path} is empty")
    if len(content) > most:
        raise SecretFileError(f"{path} is longer than {most} bytes")
    return content
