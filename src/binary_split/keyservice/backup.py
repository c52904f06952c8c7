"""Backup and restore of the SQLite database. PostgreSQL has its own programs: pg_dump and pg_restore."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from binary_split.errors import KeyStoreStateError
from binary_split.files import sync_folder
from binary_split.keyservice.state import DATABASE_NAME, DATABASE_URL_NAME, has_file

_LOCK_TIMEOUT_S = 3.0


def backup_database(folder: Path, target: Path) -> None:
    """Copy the database of a service, which may be running, to a new file with mode 0600.

    The keys beside it are not in the copy: whoever has the copy alone can open no fragment.

    Raises:
        KeyStoreStateError: there is no SQLite database, the file exists, or it cannot be written.
    """
    source = _sqlite_of(folder)
    if os.path.lexists(target):
        raise KeyStoreStateError(f"{target} exists already and is not overwritten", hint="Name a new file.")
    try:
        descriptor, name = tempfile.mkstemp(prefix=".backup-", dir=target.parent)
        os.close(descriptor)
        temporary = Path(name)
        try:
            with closing(_open(source, "ro")) as old, closing(_open(temporary, "rw")) as new:
                old.backup(new)
                new.execute("PRAGMA journal_mode=DELETE")
            _verify(temporary)
            _sync(temporary)
            target.hardlink_to(temporary)
            sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise KeyStoreStateError(
            f"cannot back up to {target}: {error}", hint="Check that its folder is there and has room."
        ) from error


def restore_database(folder: Path, backup: Path) -> None:
    """Make the database what it was at a backup, in one transaction; the service must be stopped.

    Afterwards ``accept_restored`` must look at what was taken away since.

    Raises:
        KeyStoreStateError: there is no SQLite database, it is in use, or the file is no sound backup.
    """
    target = _sqlite_of(folder)
    try:
        _verify(backup)
    except (OSError, sqlite3.Error) as error:
        raise KeyStoreStateError(f"{backup} is no backup of a key service: {error}", hint="") from error
    try:
        with closing(_open(backup, "ro")) as old, closing(_open(target, "rw")) as new:
            new.execute("PRAGMA locking_mode=EXCLUSIVE")
            new.execute("PRAGMA synchronous=FULL")
            new.execute("BEGIN EXCLUSIVE")
            new.execute("COMMIT")  # the lock stays: whoever runs the service would go on with the old one
            old.backup(new)
    except (OSError, sqlite3.Error) as error:
        raise KeyStoreStateError(
            f"cannot restore: {error}", hint="Stop every process of the service and try again."
        ) from error


def _sqlite_of(folder: Path) -> Path:
    if has_file(folder / DATABASE_URL_NAME):
        raise KeyStoreStateError(
            "the database is PostgreSQL's", hint="Use pg_dump and pg_restore: docs/key-service.md says how."
        )
    if not has_file(folder / DATABASE_NAME):
        raise KeyStoreStateError(f"no key service is set up in {folder}")
    return folder / DATABASE_NAME


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_LOCK_TIMEOUT_S, isolation_level=None
    )


def _verify(path: Path) -> None:
    """Prove that a file is a sound database of ours.

    Raises:
        sqlite3.Error: it is none.
    """
    with closing(_open(path, "ro")) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            raise sqlite3.DatabaseError(str(found[0][0])[:200])
        connection.execute("SELECT version_num FROM alembic_version").fetchone()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
