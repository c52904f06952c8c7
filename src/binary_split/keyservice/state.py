"""The state folder: the database and the key-encryption key, made together and opened together."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import insert

from binary_split.errors import BinarySplitError, KeyStoreStateError
from binary_split.files import sync_folder
from binary_split.keyservice.clock import Clock, utc_now
from binary_split.keyservice.database import (
    BUSY_TIMEOUT_S,
    connect_database,
    create_database_file,
    reading,
    writing,
)
from binary_split.keyservice.envelope import Envelope, create_envelope, read_envelope
from binary_split.keyservice.migrations import upgrade_schema, verify_schema
from binary_split.keyservice.schema import META
from binary_split.keyservice.store import CHECK_NAME, Store

DATABASE_NAME = "keyservice.sqlite3"
KEY_ENCRYPTION_KEY_NAME = "kek"
_NAMES = (KEY_ENCRYPTION_KEY_NAME, DATABASE_NAME)


def create_state(folder: Path) -> None:
    """Make the folder (0700), a new key-encryption key and an empty database in it.

    Both are built in a folder beside their place and then linked there, which cannot replace a file.

    Raises:
        KeyStoreStateError: one of the two is there already, the folder is open to others, or it cannot be
            written; what this call had made is removed again.
    """
    with _made_folder(folder):
        _refuse_old_state(folder)
        workshop = Path(tempfile.mkdtemp(prefix=".init-", dir=folder))
        try:
            _build(workshop)
            _publish(workshop, folder)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)


def open_state(folder: Path, *, clock: Clock = utc_now, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Store:
    """Open an initialised state folder, proving first that key, schema and database belong together.

    Raises:
        KeyStoreStateError: there is no state, or the schema is not this program's, or the database is locked.
        KeyEncryptionKeyError: the key-encryption key is missing, open to others, or another store's.
        KeyStoreDamagedError: the database is damaged.
    """
    database = _existing_database(folder)
    envelope = read_envelope(folder / KEY_ENCRYPTION_KEY_NAME)
    engine = connect_database(database, busy_timeout_s=busy_timeout_s)
    store = Store(engine, envelope, clock=clock)
    try:
        with reading(engine) as connection:
            verify_schema(connection)
        store.verify_ready()
    except BaseException:
        store.close()
        raise
    return store


def migrate_state(folder: Path) -> None:
    """Bring the database's schema to the one that this program knows, in one transaction.

    Raises:
        KeyStoreStateError: there is no state, or it is locked.
    """
    engine = connect_database(_existing_database(folder))
    try:
        with writing(engine) as connection:
            upgrade_schema(connection)
    finally:
        engine.dispose()


def _existing_database(folder: Path) -> Path:
    database = folder / DATABASE_NAME
    if not database.is_file():
        raise KeyStoreStateError(f"no key service is set up in {folder}")
    return database


def _refuse_old_state(folder: Path) -> None:
    for name in _NAMES:
        if os.path.lexists(folder / name):
            raise KeyStoreStateError(
                f"{folder} is initialised already: {name} is there",
                hint="Nothing was touched. Name another folder with --state to make a second key service.",
            )
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        raise KeyStoreStateError(
            f"{folder} is open to others (mode {mode:04o})", hint=f"Run `chmod 700 {folder}` first."
        )


@contextmanager
def _made_folder(folder: Path) -> Iterator[None]:
    """Make the folder and its parents for the block; remove those that are new if the block fails."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(mode=0o700 if path == folder else 0o755)
        yield
    except BaseException as error:
        for path in missing:
            with suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError):
            raise KeyStoreStateError(f"cannot set up {folder}: {error.strerror}", hint="") from error
        raise


def _build(workshop: Path) -> None:
    envelope = create_envelope(workshop / KEY_ENCRYPTION_KEY_NAME)
    database = workshop / DATABASE_NAME
    create_database_file(database)
    _fill(database, envelope)


def _fill(database: Path, envelope: Envelope) -> None:
    engine = connect_database(database)
    try:
        with writing(engine) as connection:
            upgrade_schema(connection)
            connection.execute(insert(META).values(name=CHECK_NAME, value=envelope.seal_check()))
    finally:
        engine.dispose()  # the last connection folds the WAL into the file


def _publish(workshop: Path, folder: Path) -> None:
    linked: list[Path] = []
    try:
        for name in _NAMES:
            (folder / name).hardlink_to(workshop / name)
            linked.append(folder / name)
        sync_folder(folder)
    except (OSError, BinarySplitError):
        for path in linked:
            path.unlink(missing_ok=True)
        raise
