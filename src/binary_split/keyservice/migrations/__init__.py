"""The history of the database's schema, and the one way to apply it (no ``alembic.ini``).

alembic itself is imported only to change a schema: looking at one takes a query, and a command half the time.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from binary_split.errors import KeyStoreStateError

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS = ("0001", "0002")
"""Every revision, oldest first; a test proves that ``versions/`` holds just these."""

_VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def upgrade_schema(connection: Connection) -> None:
    """Bring the schema to the newest revision, inside the caller's transaction."""
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def is_initialised(connection: Connection) -> bool:
    """Tell whether there is a schema of ours, of whatever revision."""
    return inspect(connection).has_table(_VERSION.name)


def verify_schema(connection: Connection) -> None:
    """Prove that the schema is the one that this program knows.

    Raises:
        KeyStoreStateError: it is older, newer, or not there.
    """
    found = None
    if inspect(connection).has_table(_VERSION.name):
        found = connection.scalar(select(_VERSION.c.version_num))
    if found == REVISIONS[-1]:
        return
    if found is None:
        raise KeyStoreStateError("the database was never initialised")
    if found in REVISIONS:
        raise KeyStoreStateError(
            f"the database has the older schema {found}",
            hint="Back the state folder up, then run `binary-split keyservice migrate`.",
        )
    raise KeyStoreStateError(
        f"the database has the unknown schema {found}",
        hint="A newer binary-split made it: install that one.",
    )


def alembic_config() -> Config:
    """Return alembic's configuration: where the revisions are."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
