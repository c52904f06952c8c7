"""The state folder is made whole or not at all, and its schema is the one that the program knows."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from bed.postgres import PrivatePostgres
from binary_split.errors import KeyStoreStateError
from binary_split.keyservice import state as state_module
from binary_split.keyservice.database import connect_database, create_database_file, writing
from binary_split.keyservice.migrations import REVISIONS, alembic_config, upgrade_schema
from binary_split.keyservice.schema import METADATA
from binary_split.keyservice.state import create_state, migrate_state, open_state


def test_init_makes_a_private_folder_with_a_key_and_a_database_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    create_state(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "audit-key": 0o600,
        "kek": 0o600,
        "keyservice.sqlite3": 0o600,
    }
    assert len((folder / "kek").read_bytes()) == 32
    open_state(folder).close()


@pytest.mark.parametrize("name", ["kek", "audit-key", "keyservice.sqlite3", "database-url"])
def test_init_refuses_where_either_file_is_and_touches_nothing(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(KeyStoreStateError, match="initialised already"):
        create_state(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


def test_init_refuses_a_folder_that_is_open_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(KeyStoreStateError, match="open to others"):
        create_state(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_init_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state_module, "sync_folder", fail)  # the last step of all
    with pytest.raises(KeyStoreStateError, match="No space left"):
        create_state(tmp_path / "deep" / "state")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_init_leaves_nothing_in_the_way_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_folder: Path) -> None:
        raise KeyboardInterrupt

    tmp_path.chmod(0o700)
    with monkeypatch.context() as patched:
        patched.setattr(state_module, "sync_folder", interrupt)
        with pytest.raises(KeyboardInterrupt):
            create_state(tmp_path)
    assert list(tmp_path.iterdir()) == []
    create_state(tmp_path)
    open_state(tmp_path).close()


@pytest.mark.slow
def test_an_init_that_fails_at_the_end_leaves_the_postgres_database_to_the_next(
    tmp_path: Path, postgres: PrivatePostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_folder: Path) -> None:
        raise OSError(28, "No space left on device")

    url = postgres.url(postgres.create_database())
    with monkeypatch.context() as patched:
        patched.setattr(state_module, "sync_folder", fail)
        with pytest.raises(KeyStoreStateError, match="No space left"):
            create_state(tmp_path / "state", database_url=url)
    create_state(tmp_path / "state", database_url=url)
    open_state(tmp_path / "state").close()
    with pytest.raises(KeyStoreStateError, match="belongs to a key service already"):
        create_state(tmp_path / "other", database_url=url)
    assert not (tmp_path / "other").exists()


def test_init_on_a_path_through_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyStoreStateError, match="cannot set up"):
        create_state(tmp_path / "file" / "state")


def test_a_folder_without_state_is_refused_and_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(KeyStoreStateError, match="no key service"):
        open_state(tmp_path)
    with pytest.raises(KeyStoreStateError, match="no key service"):
        migrate_state(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_migrating_from_empty_gives_exactly_the_declared_schema(tmp_path: Path) -> None:
    create_database_file(tmp_path / "db")
    engine = connect_database(tmp_path / "db")
    with writing(engine) as connection:
        upgrade_schema(connection)
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
        look = inspect(connection)
        for table in METADATA.tables.values():
            found = look.get_unique_constraints(table.name)
            declared = [c for c in table.constraints if type(c).__name__ == "UniqueConstraint"]
            assert {c["name"] for c in found} == {c.name for c in declared}
    engine.dispose()


def test_the_list_of_revisions_is_the_one_on_disk() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS
    assert scripts.get_heads() == [REVISIONS[-1]]


def test_a_failed_migration_leaves_no_table(tmp_path: Path) -> None:
    create_database_file(tmp_path / "db")
    engine = connect_database(tmp_path / "db")

    def fail_after_upgrading() -> None:
        with writing(engine) as connection:
            upgrade_schema(connection)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_upgrading()
    with writing(engine) as connection:
        assert inspect(connection).get_table_names() == []
    engine.dispose()


def _stamp(state: Path, statement: str) -> None:
    with closing(sqlite3.connect(state / "keyservice.sqlite3")) as connection, connection:
        connection.execute(statement)


def test_a_newer_schema_is_refused(state: Path) -> None:
    _stamp(state, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(KeyStoreStateError, match="unknown schema 9999"):
        open_state(state)


def test_an_older_schema_is_refused_until_it_is_migrated(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("binary_split.keyservice.migrations.REVISIONS", ("0001", "0002", "0003"))
    with pytest.raises(KeyStoreStateError, match="older schema 0002") as caught:
        open_state(state)
    assert "keyservice migrate" in caught.value.hint


def test_a_database_without_a_schema_is_refused(state: Path) -> None:
    _stamp(state, "DELETE FROM alembic_version")
    with pytest.raises(KeyStoreStateError, match="never initialised"):
        open_state(state)
    _stamp(state, "DROP TABLE alembic_version")
    with pytest.raises(KeyStoreStateError, match="never initialised"):
        open_state(state)


def test_migrating_the_newest_schema_changes_nothing(state: Path) -> None:
    migrate_state(state)
    open_state(state).close()
