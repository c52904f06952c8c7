"""The history of the database's schema, and the one way to apply it (no ``alembic.ini``)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from binary_split.errors import KeyStoreStateError


def upgrade_schema(connection: Connection) -> None:
    """Bring the schema to the newest revision, inside the caller's transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def verify_schema(connection: Connection) -> None:
    """Prove that the schema is the one that this program knows.

    Raises:
        KeyStoreStateError: it is older, newer, or not there.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(_config())
    if found == scripts.get_current_head():
        return
    if found is None:
        raise KeyStoreStateError("the database was never initialised")
    if found in {script.revision for script in scripts.walk_revisions()}:
        raise KeyStoreStateError(
            f"the database has the older schema {found}",
            hint="Back the state folder up, then run `binary-split keyservice migrate`.",
        )
    raise KeyStoreStateError(
        f"the database has the unknown schema {found}",
        hint="A newer binary-split made it: install that one.",
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
