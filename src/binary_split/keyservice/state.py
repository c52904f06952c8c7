"""The state folder: the database (or where it is) and the secrets beside it, made and opened together."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine, insert

from binary_split.config import credentials_folder
from binary_split.errors import KeyStoreStateError
from binary_split.files import is_visible, sync_folder, write_secret
from binary_split.keyservice.checkpoints import CheckpointFile
from binary_split.keyservice.clock import Clock, to_seconds, utc_now
from binary_split.keyservice.database import (
    BUSY_TIMEOUT_S,
    connect_database,
    connect_postgres,
    create_database_file,
    parse_postgres_url,
    reading,
    writing,
)
from binary_split.keyservice.envelope import Envelope
from binary_split.keyservice.kek_files import KEK_NAME, read_private
from binary_split.keyservice.kek_making import TransitAccess, create_first_kek
from binary_split.keyservice.keyring import KeyRing
from binary_split.keyservice.ledger import read_head
from binary_split.keyservice.migrations import is_initialised, upgrade_schema, verify_schema
from binary_split.keyservice.restore import verify_not_older
from binary_split.keyservice.schema import FIRST_KEK_ID, KEKS
from binary_split.keyservice.secrets_folder import AUDIT_KEY_NAME, VAULT_TOKEN_NAME, SecretsFolder
from binary_split.keyservice.store import Parts, Store

DATABASE_NAME = "keyservice.sqlite3"
DATABASE_URL_NAME = "database-url"
CHECKPOINTS_NAME = "audit-checkpoints"
_NAMES = (KEK_NAME, VAULT_TOKEN_NAME, AUDIT_KEY_NAME, DATABASE_NAME, DATABASE_URL_NAME)
_URL_BYTES = 4096


def create_state(
    folder: Path, *, database_url: str | None = None, transit: TransitAccess | None = None
) -> None:
    """Make the folder (0700), a new key-encryption key, a new audit key and an empty database.

    All are built in a folder beside their place and then linked there, which cannot replace a file.

    Args:
        folder: where.
        database_url: of an empty PostgreSQL database; None makes a SQLite file in the folder.
        transit: keeps the key-encryption key wrapped; None puts the key itself into its file.

    Raises:
        KeyStoreStateError: one of them is there already, the folder is open to others, or it cannot be
            written; what this call had made is removed again. The PostgreSQL database is not empty.
        ConfigError: the URL is none.
        KeyEncryptionKeyError: the transit engine is away or refuses.
    """
    with _made_folder(folder):
        _refuse_old_state(folder)
        workshop = Path(tempfile.mkdtemp(prefix=".init-", dir=folder))
        try:
            key = _build_files(workshop, database_url, transit)
            if database_url is None:
                _initialise(workshop, key)  # the file is linked with the others, whole
                with _published(workshop, folder):
                    pass
            else:
                with _published(workshop, folder):  # else a database without its key would be left
                    _initialise(workshop, key)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)


def open_state(
    folder: Path,
    *,
    clock: Clock = utc_now,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    accept_older: bool = False,
) -> Store:
    """Open an initialised state folder, proving first that keys, schema and database belong together.

    Args:
        folder: where.
        clock: the present.
        busy_timeout_s: how long to wait for a lock or a connection.
        accept_older: open a database that is older than its checkpoints; ``accept_restored`` must follow.

    Raises:
        KeyStoreStateError: there is no state, or the schema is not this program's, or the database is locked.
        KeyEncryptionKeyError: a key is missing, open to others, or another store's.
        KeyStoreDamagedError: the database is damaged.
        KeyStoreRolledBackError: the database is older than its checkpoints.
    """
    secrets = state_secrets(folder)
    engine = connect_state(folder, busy_timeout_s=busy_timeout_s)
    try:
        ring = KeyRing(secrets.read_keks)
        with reading(engine) as connection:
            verify_schema(connection)
            ring.verify(connection)
            audit_keys = secrets.read_audit_keys()
            checkpoints = CheckpointFile(folder / CHECKPOINTS_NAME, audit_keys.signing_key)
            if not accept_older:
                verify_not_older(connection, checkpoints)
    except BaseException:
        engine.dispose()
        raise
    return Store(Parts(engine, ring, audit_keys, checkpoints), clock=clock)


def state_secrets(folder: Path) -> SecretsFolder:
    """Return the secrets of a state folder, or the service manager's in their place."""
    return SecretsFolder(folder, credentials_folder())


def connect_state(folder: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """Return the engine of a state folder's database.

    Raises:
        KeyStoreStateError: no key service is set up there, or this user may not look.
        KeyEncryptionKeyError: the file with the database's URL is open to others: it may hold a password.
        ConfigError: it holds no such URL.
    """
    url_file, database = folder / DATABASE_URL_NAME, folder / DATABASE_NAME
    if has_file(url_file):
        content = read_private(url_file, what="database URL", max_bytes=_URL_BYTES, is_private=True)
        url = parse_postgres_url(content.decode(errors="replace").strip())
        return connect_postgres(url, busy_timeout_s=busy_timeout_s)
    if not has_file(database):
        raise KeyStoreStateError(f"no key service is set up in {folder}")
    return connect_database(database, busy_timeout_s=busy_timeout_s)


def has_file(path: Path) -> bool:
    """Whether a file of a state folder is there.

    Raises:
        KeyStoreStateError: this user may not look into the folder.
    """
    try:
        return path.is_file()
    except OSError as error:
        raise KeyStoreStateError(
            f"cannot look into {path.parent}: {error.strerror or error}",
            hint="Run this as the user of the key service, whose folder it is.",
        ) from error


def migrate_state(folder: Path) -> None:
    """Bring the database's schema to the one that this program knows, in one transaction.

    A folder of the first schema gets its audit key here.

    Raises:
        KeyStoreStateError: there is no state, or it is locked.
    """
    secrets = state_secrets(folder)
    engine = connect_state(folder)
    try:
        with writing(engine) as connection:
            upgrade_schema(connection)
            if not secrets.has_audit_key() and read_head(connection).seq == 0:
                secrets.create_audit_key()
    finally:
        engine.dispose()


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
    missing = [path for path in (folder, *folder.parents) if not is_visible(path)]
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


def _build_files(workshop: Path, database_url: str | None, transit: TransitAccess | None) -> bytes:
    """Make the files, and return the key-encryption key."""
    key = create_first_kek(workshop, transit)
    SecretsFolder(workshop, None).create_audit_key()
    if database_url is None:
        create_database_file(workshop / DATABASE_NAME)
    else:
        write_secret(workshop / DATABASE_URL_NAME, database_url.encode() + b"\n")
    return key


def _initialise(workshop: Path, key: bytes) -> None:
    engine = connect_state(workshop)
    try:
        with writing(engine) as connection:
            if is_initialised(connection):
                raise KeyStoreStateError(
                    "the database belongs to a key service already",
                    hint="For another process of the same service, copy its state folder.",
                )
            upgrade_schema(connection)
            connection.execute(
                insert(KEKS).values(
                    kek_id=FIRST_KEK_ID,
                    check_value=Envelope(key).seal_check(),
                    state="active",
                    created_at=to_seconds(utc_now()),
                )
            )
    finally:
        engine.dispose()  # the last connection folds the WAL into the file


@contextmanager
def _published(workshop: Path, folder: Path) -> Iterator[None]:
    """Link what was built into its place for good, or for nothing if the block fails."""
    built = [name for name in _NAMES if (workshop / name).exists()]
    try:
        for name in built:
            (folder / name).hardlink_to(workshop / name)
        sync_folder(folder)
        yield
    except BaseException:  # an interrupt too: a key without its database would be in the way of the next try
        for name in built:
            with suppress(FileNotFoundError):
                if (folder / name).samefile(workshop / name):  # and not what another process put there
                    (folder / name).unlink()
        raise
