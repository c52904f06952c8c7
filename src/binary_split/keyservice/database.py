"""The database, SQLite or PostgreSQL: connections, transactions, and failures in our own words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from binary_split.errors import ConfigError, KeyStoreDamagedError, KeyStoreStateError

BUSY_TIMEOUT_S = 3.0
_POOL_SIZE = 5
_POOL_OVERFLOW = 10
_STATEMENT_TIMEOUT_S = 10.0
_TRY_AGAIN = "Try again: another program holds the database, it is being restarted, or its disk is full."


def create_database_file(path: Path) -> None:
    """Make the empty database file with mode 0600; SQLite gives its WAL the same mode.

    Raises:
        OSError: the file exists, or cannot be made.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def connect_database(path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """Return the engine for an existing SQLite file, waiting at most ``busy_timeout_s`` for a lock."""
    engine = create_engine(
        # mode=rw: SQLite makes no empty database where one is missing
        URL.create("sqlite", database=path.absolute().as_uri(), query={"mode": "rw", "uri": "true"}),
        connect_args={"timeout": busy_timeout_s, "check_same_thread": False},
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_timeout=busy_timeout_s,
        hide_parameters=True,  # no error message of the library's shows a row
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: we say when, below
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE: a writer waits for its turn at the start, where waiting works, and not halfway.
        writes = connection.get_execution_options().get("binary_split_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def parse_postgres_url(text: str) -> URL:
    """Parse ``postgresql://USER@HOST/DATABASE``, with what else libpq understands as its query.

    Raises:
        ConfigError: it is none. The text is not repeated: it may hold a password.
    """
    url: URL | None = None
    with suppress(ArgumentError, ValueError):
        url = make_url(text)
    if url is None:  # raised out here, so that the ValueError, which quotes the URL, is not chained
        raise ConfigError(
            "not the URL of a database", hint="Percent-encode what is special in its password, such as @ : /."
        )
    if url.drivername not in {"postgresql", "postgres"} or not url.database:
        raise ConfigError("not the URL of a PostgreSQL database: postgresql://USER@HOST/DATABASE")
    return url.set(drivername="postgresql+psycopg")


def connect_postgres(
    url: URL, *, busy_timeout_s: float = BUSY_TIMEOUT_S, pool_size: int = _POOL_SIZE
) -> Engine:
    """Return the engine for a PostgreSQL database, waiting at most ``busy_timeout_s`` for a lock.

    Raises:
        ConfigError: the driver is not installed.
    """
    wait_ms = max(1, int(busy_timeout_s * 1000))
    # A server that is set to acknowledge before it has written would lose a confirmed revocation.
    options = f"-c synchronous_commit=on -c lock_timeout={wait_ms} -c timezone=UTC"
    options += f" -c statement_timeout={int(_STATEMENT_TIMEOUT_S * 1000)}"
    options += f" -c idle_in_transaction_session_timeout={int(_STATEMENT_TIMEOUT_S * 1000)}"
    try:
        return create_engine(
            url,
            connect_args={
                "connect_timeout": max(2, int(busy_timeout_s)),  # libpq makes 2 of 1
                "options": options,
                "application_name": "binary-split-keyservice",
                "tcp_user_timeout": int(_STATEMENT_TIMEOUT_S * 1000),
                "prepare_threshold": 1,
            },
            isolation_level="READ COMMITTED",
            pool_size=pool_size,
            max_overflow=_POOL_OVERFLOW,
            pool_timeout=busy_timeout_s,
            hide_parameters=True,
        )
    except ModuleNotFoundError:
        raise ConfigError(
            "PostgreSQL's driver is not installed", hint="pip install 'binary-split[keyservice,postgres]'"
        ) from None


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that only reads.

    Raises:
        KeyStoreStateError: the database cannot be opened, is locked, or its disk fails.
        KeyStoreDamagedError: the file is no sound database.
    """
    with _our_errors(), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that is durable when the block ends, or gone if it raises.

    Raises:
        KeyStoreStateError: the database cannot be opened, is locked, or its disk is full.
        KeyStoreDamagedError: the file is no sound database.
    """
    with _our_errors(), engine.connect() as connection:
        connection = connection.execution_options(binary_split_writes=True)  # noqa: PLW2901 - the same one
        with connection.begin():
            yield connection


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except (OperationalError, PoolTimeoutError) as error:
        reason = error.orig if isinstance(error, OperationalError) else "all connections are in use"
        raise KeyStoreStateError(f"the database cannot be used: {reason}", hint=_TRY_AGAIN) from error
    except DatabaseError as error:
        if error.connection_invalidated:
            raise KeyStoreStateError(f"the database went away: {error.orig}", hint=_TRY_AGAIN) from error
        if isinstance(error, ProgrammingError) and error.statement is None:  # nothing was asked of it yet
            raise KeyStoreStateError(
                f"no connection to the database: {error.orig}", hint="Check the options in its URL."
            ) from error
        raise KeyStoreDamagedError(
            f"the database is damaged: {error.orig}", hint="Restore the database from a backup."
        ) from error
    except SQLAlchemyError as error:
        raise KeyStoreStateError(f"the database failed: {type(error).__name__}") from error
