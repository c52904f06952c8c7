"""The schema goes up and down on both databases, and what was stored before goes on working."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, text

from bed.postgres import PrivatePostgres
from binary_split.errors import KeyStoreStateError
from binary_split.files import write_secret
from binary_split.keyservice.database import create_database_file, writing
from binary_split.keyservice.envelope import Envelope
from binary_split.keyservice.keyring import read_kek_rows
from binary_split.keyservice.migrations import alembic_config
from binary_split.keyservice.schema import METADATA
from binary_split.keyservice.state import DATABASE_NAME, connect_state, migrate_state, open_state
from binary_split.keyservice.tokens import hash_token
from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR, Hands

OLD_TOKEN = "bsk_old"
REVOKED_TOKEN = "bsk_revoked"


def _run(connection: Connection, direction: str, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    getattr(command, direction)(config, revision)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def old_state(request: pytest.FixtureRequest, tmp_path: Path, clock: Hands) -> Path:
    """A state folder as revision 0001 left it: two keys, a token for one, a revoked one."""
    folder = tmp_path / "old"
    folder.mkdir(mode=0o700)
    key = bytes(range(32))
    write_secret(folder / "kek", key)
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        assert isinstance(server, PrivatePostgres)
        write_secret(folder / "database-url", server.url(server.create_database()).encode())
    else:
        create_database_file(folder / DATABASE_NAME)
    _fill(folder, Envelope(key), int(clock().timestamp()))
    return folder


def _fill(folder: Path, envelope: Envelope, now: int) -> None:
    engine = connect_state(folder)
    with writing(engine) as connection:
        _run(connection, "upgrade", "0001")
        connection.execute(
            text("INSERT INTO meta (name, value) VALUES ('kek-check', :value)"),
            {"value": envelope.seal_check()},
        )
        for key_id in ("k1", "k2"):
            connection.execute(
                text(
                    "INSERT INTO keys (key_id, sealed_fragment, created_at) VALUES (:key_id, :sealed, :now)"
                ),
                {"key_id": key_id, "sealed": envelope.seal_fragment(key_id, Fragment(FRAGMENT)), "now": now},
            )
        for number, (token, revoked) in enumerate(((OLD_TOKEN, None), (REVOKED_TOKEN, now))):
            connection.execute(
                text(
                    "INSERT INTO tokens"
                    " (token_id, token_hash, key_id, label, created_at, expires_at, revoked_at)"
                    " VALUES (:id, :hash, 'k1', 'old', :now, :expires, :revoked)"
                ),
                {
                    "id": f"tok_aaaaaaaaaaa{'ab'[number]}",
                    "hash": hash_token(token),
                    "now": now,
                    "expires": now + 3600,
                    "revoked": revoked,
                },
            )
    engine.dispose()


def test_an_old_state_is_refused_until_it_is_migrated_and_then_its_tokens_work(
    old_state: Path, clock: Hands
) -> None:
    with pytest.raises(KeyStoreStateError, match="older schema 0001"):
        open_state(old_state)
    migrate_state(old_state)
    store = open_state(old_state, clock=clock)
    assert store.release(OLD_TOKEN).reveal() == FRAGMENT
    assert [token.label for token in store.tokens.page().rows] == ["old", "old"]
    assert store.tokens.find(OLD_TOKEN).scopes == {"fragment:read"}  # type: ignore[union-attr]
    states = [token.state_at(clock()) for token in store.tokens.page().rows]
    assert states == ["active", "revoked"]
    assert [key.state for key in store.keys.page().rows] == ["active", "active"]
    assert (old_state / "audit-key").stat().st_mode & 0o777 == 0o600
    store.audit.verify()
    store.close()


def test_up_gives_the_declared_schema_and_down_the_old_one_with_its_rows(
    old_state: Path, clock: Hands
) -> None:
    migrate_state(old_state)
    store = open_state(old_state, clock=clock)
    store.devices.add("d1")
    store.grants.add("k1", device_id="d1", uses=1)
    device_token = store.tokens.issue(lifetime=HOUR, device_id="d1")
    store.release(device_token.text)
    store.keys.destroy("k2")
    store.close()
    engine = connect_state(old_state)
    with writing(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
        _run(connection, "downgrade", "0001")
        names = set(inspect(connection).get_table_names())
        assert names == {"alembic_version", "meta", "keys", "tokens"}
        columns = {column["name"] for column in inspect(connection).get_columns("tokens")}
        assert columns == {
            "token_id",
            "token_hash",
            "key_id",
            "label",
            "created_at",
            "expires_at",
            "revoked_at",
        }
        assert connection.execute(text("SELECT label FROM tokens")).scalars().all() == ["old", "old"]
        assert connection.execute(text("SELECT key_id FROM keys")).scalars().all() == ["k1"]
        checked = connection.execute(text("SELECT value FROM meta WHERE name = 'kek-check'")).scalar_one()
        assert Envelope(bytes(range(32))).is_key_of(bytes(checked))
    engine.dispose()
    shutil.move(old_state / "audit-key", old_state / "old-audit-key")
    (old_state / "audit-checkpoints").unlink()
    migrate_state(old_state)
    store = open_state(old_state, clock=clock)
    assert store.release(OLD_TOKEN).reveal() == FRAGMENT
    store.close()


def test_it_does_not_go_down_in_the_middle_of_a_rotation(old_state: Path) -> None:
    migrate_state(old_state)
    engine = connect_state(old_state)
    with writing(engine) as connection:
        row = read_kek_rows(connection)[0]
        connection.execute(
            insert(METADATA.tables["keks"]).values(
                kek_id="kek-2", check_value=row.check_value, state="retiring", created_at=1
            )
        )

    def go_down() -> None:
        with writing(engine) as connection:
            _run(connection, "downgrade", "0001")

    with pytest.raises(RuntimeError, match="rotation"):
        go_down()
    with writing(engine) as connection:
        assert inspect(connection).has_table("audit")
    engine.dispose()


def test_a_lost_audit_key_is_not_made_again_by_migrating(state: Path) -> None:
    store = open_state(state)
    store.devices.add("d1")
    store.close()
    (state / "audit-key").unlink()
    migrate_state(state)
    assert not (state / "audit-key").exists()
