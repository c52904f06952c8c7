"""What an operator types: another database, another key-encryption key, a backup, a restore."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from bed.transit_server import TransitServer
from binary_split.errors import ConfigError, KeyStoreRolledBackError, KeyStoreStateError
from binary_split.keyservice.state import open_state
from tests.commandline import CommandLine
from tests.keyservice.places import Place

pytestmark = pytest.mark.slow  # each test runs the program

HOUR = timedelta(hours=1)


def test_a_key_service_on_postgres_is_set_up_from_a_file_with_its_url(
    cli: CommandLine, postgres_place: Place, tmp_path: Path
) -> None:
    server = postgres_place.postgres
    assert server is not None
    (tmp_path / "url").write_text(server.url(server.create_database()) + "\n")
    state = ("--state", tmp_path / "state")
    assert cli.run("keyservice", "init", "--database-file", tmp_path / "url", *state).status == 0
    assert not (tmp_path / "state" / "keyservice.sqlite3").exists()
    assert cli.run("key", "create", "k1", *state).status == 0
    (key,) = cli.run("key", "list", "--json", *state).document
    assert key["key_id"] == "k1"
    (tmp_path / "bad").write_text("mysql://u:secret@h/d")
    bad = cli.run("keyservice", "init", "--database-file", tmp_path / "bad", "--state", tmp_path / "none")
    bad.assert_failed(ConfigError.exit_code, "PostgreSQL")
    assert "secret" not in bad.stderr
    assert not (tmp_path / "none").exists()


def test_rotating_needs_one_command_or_two_where_there_are_many_machines(
    cli: CommandLine, tmp_path: Path
) -> None:
    state = ("--state", tmp_path / "state")
    cli.run("keyservice", "init", *state)
    cli.run("key", "create", "k1", *state)
    for _ in range(2):
        assert cli.run("keyservice", "rotate-kek", "--prepare", *state).status == 0
        assert sorted(path.name for path in (tmp_path / "state").glob("kek*")) == ["kek", "kek.2"]
    report = cli.run("keyservice", "rotate-kek", "--json", *state).document
    assert report == {"active": "kek-2", "retired": ["kek-1"], "resealed": 1, "was_resumed": False}
    (tmp_path / "state" / "kek").unlink()
    assert cli.run("key", "create", "k2", *state).status == 0


def test_a_key_wrapped_by_a_transit_engine_is_set_up_and_rotated(cli: CommandLine, tmp_path: Path) -> None:
    state = ("--state", tmp_path / "state")
    with TransitServer() as server:
        (tmp_path / "token").write_text(server.token)
        transit = ("--transit-url", server.url, "--transit-key", "kek")
        missing = cli.run("keyservice", "init", *transit, *state)
        missing.assert_failed(ConfigError.exit_code, "--transit-token")
        done = cli.run("keyservice", "init", *transit, "--transit-token", tmp_path / "token", *state)
        assert done.status == 0, done
        assert cli.run("key", "create", "k1", *state).status == 0
        assert cli.run("keyservice", "rotate-kek", *state).status == 0
        server.is_sealed = True
        assert cli.run("key", "list", *state).status == 62


def test_a_restored_backup_forgets_no_revocation(cli: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    state = ("--state", folder)
    cli.run("keyservice", "init", *state)
    cli.run("key", "create", "k1", *state)
    issued = cli.run("token", "issue", "--key", "k1", "--json", *state).document
    assert cli.run("keyservice", "backup", tmp_path / "backup", *state).status == 0
    cli.run("token", "revoke", issued["token_id"], *state)
    again = cli.run("keyservice", "backup", tmp_path / "backup", *state)
    again.assert_failed(KeyStoreStateError.exit_code, "exists already")
    restored = cli.run("keyservice", "restore", tmp_path / "backup", *state)
    assert restored.status == 0, restored
    assert "1 rights are taken away again" in restored.stderr
    (token,) = cli.run("token", "list", "--json", *state).document
    assert token["state"] == "revoked"


def test_a_database_that_was_copied_over_by_hand_is_refused_until_it_is_accepted(
    cli: CommandLine, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    state = ("--state", folder)
    cli.run("keyservice", "init", *state)
    cli.run("key", "create", "k1", *state)
    issued = cli.run("token", "issue", "--key", "k1", "--json", *state).document
    old = (folder / "keyservice.sqlite3").read_bytes()
    cli.run("token", "revoke", issued["token_id"], *state)
    for name in ("keyservice.sqlite3-wal", "keyservice.sqlite3-shm"):
        (folder / name).unlink(missing_ok=True)
    (folder / "keyservice.sqlite3").write_bytes(old)
    refused = cli.run("key", "list", *state)
    refused.assert_failed(KeyStoreRolledBackError.exit_code, "accept-restore")
    assert cli.run("keyservice", "accept-restore", *state).status == 0
    with closing(open_state(folder)) as store:
        (token,) = store.tokens.page().rows
        assert token.revoked is not None
        store.audit.verify()
