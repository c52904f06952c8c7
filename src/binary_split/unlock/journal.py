"""The unlock's state on disk: what is installed, and what is under way, for each engine."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from binary_split.config import LIMITS
from binary_split.engines import EngineDescription
from binary_split.errors import JournalError, OutputError
from binary_split.files import sync_folder, write_atomically
from binary_split.oci.blob import hash_bytes
from binary_split.unlock.records import InstalledRelease, Transaction

_POLL_S = 0.2


class Journal:
    """The journal of one engine: a folder with a file for each installed release, and one for a transaction.

    Args:
        folder: of all engines' journals; made when it is first locked.
        engine: the engine that it is about.
    """

    def __init__(self, folder: Path, engine: EngineDescription) -> None:
        name = hash_bytes(f"{engine.kind} {engine.address}".encode()).hex[:16]
        self._folder = folder / name
        self._engine = f"{engine.kind} at {engine.address}"
        self._releases = self._folder / "releases"
        self._transaction = self._folder / "transaction.json"

    @property
    def folder(self) -> Path:
        """Where it is; there may be nothing yet."""
        return self._folder

    @contextmanager
    def locked(self, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Be the only one that works on the engine.

        Args:
            on_wait: is called while somebody else does, several times a second.

        Raises:
            JournalError: the folder cannot be used.
        """
        with self._mapped():
            self._releases.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while not _lock(descriptor):
                on_wait()
                time.sleep(_POLL_S)
            self._write_name()
            yield
        finally:
            os.close(descriptor)

    def read_releases(self) -> tuple[InstalledRelease, ...]:
        """Return the installed releases, oldest first.

        Raises:
            JournalError: a file cannot be read, or is malformed.
        """
        with self._mapped():
            paths = sorted(self._releases.glob("*.json")) if self._releases.is_dir() else []
            found = [InstalledRelease.parse(_read(path)) for path in paths]
        return tuple(sorted(found, key=lambda release: release.installed))

    def write_release(self, release: InstalledRelease) -> None:
        """Write down that a release is installed, in the place of what came from the same archive."""
        self._write(self._path_of(release), release.serialise())

    def remove_release(self, release: InstalledRelease) -> None:
        """Forget a release."""
        self._remove(self._path_of(release))

    def read_transaction(self) -> Transaction | None:
        """Return what is under way, None where nothing is.

        Raises:
            JournalError: the file cannot be read, or is malformed.
        """
        with self._mapped():
            return Transaction.parse(_read(self._transaction)) if self._transaction.exists() else None

    def is_unsettled(self) -> bool:
        """Whether something is under way, or was left so."""
        with self._mapped():
            return self._transaction.exists()

    def is_in_use(self) -> bool:
        """Whether somebody works on the engine right now.

        Raises:
            JournalError: the folder cannot be used.
        """
        with self._mapped():
            try:
                descriptor = os.open(self._folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        try:
            return not _lock(descriptor)
        finally:
            os.close(descriptor)

    def write_transaction(self, transaction: Transaction) -> None:
        """Write down what is under way; when this returns it survives a power cut."""
        self._write(self._transaction, transaction.serialise())

    def remove_transaction(self) -> None:
        """Forget what was under way."""
        self._remove(self._transaction)

    def _path_of(self, release: InstalledRelease) -> Path:
        return self._releases / f"{release.archive}.json"

    def _write_name(self) -> None:
        """Say for people whose journal this is: the folder's name does not."""
        path = self._folder / "engine"
        if not path.exists():
            self._write(path, f"{self._engine}\n".encode())

    def _write(self, path: Path, content: bytes) -> None:
        try:
            with write_atomically(path) as file:
                file.write(content)
        except OutputError as error:
            raise JournalError(str(error)) from error

    def _remove(self, path: Path) -> None:
        with self._mapped():
            path.unlink(missing_ok=True)
            sync_folder(path.parent)

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalError(f"cannot use the journal {self._folder}: {error.strerror or error}") from error


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LIMITS.journal_bytes + 1)
    if len(content) > LIMITS.journal_bytes:
        raise JournalError(f"{path} is larger than any file of the journal")
    return content
