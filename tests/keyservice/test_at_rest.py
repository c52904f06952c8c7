"""What is on the disk: no fragment, no token, and nothing that can be moved or altered unnoticed."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from binary_split.errors import KeyEncryptionKeyError, KeyStoreDamagedError, KeyStoreStateError
from binary_split.keyservice.envelope import Envelope
from binary_split.keyservice.keys import KeyRecord
from binary_split.keyservice.state import create_state, open_state
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR
from tests.keyservice.places import Place


def sql(state: Path, *statements: str) -> None:
    with closing(sqlite3.connect(state / "keyservice.sqlite3")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_no_file_holds_a_fragment_or_a_token_but_only_the_tokens_hash(store: Store, state: Path) -> None:
    text = store.tokens.issue("k1", lifetime=HOUR, label="a label").text
    files = {path.name: path.read_bytes() for path in state.iterdir()}
    assert b"a label" in files["keyservice.sqlite3-wal"], "the WAL is not looked at"
    for content in files.values():
        assert FRAGMENT not in content
        assert text.encode() not in content
        assert text.removeprefix("bsk_").encode() not in content
    assert hashlib.sha256(text.encode()).digest() in files["keyservice.sqlite3-wal"]


def test_every_file_is_private(store: Store, state: Path) -> None:
    store.tokens.issue("k1", lifetime=HOUR)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    names = {"kek", "audit-key", "keyservice.sqlite3", "keyservice.sqlite3-wal", "keyservice.sqlite3-shm"}
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == dict.fromkeys(
        names, 0o600
    )


def test_two_fragments_sealed_alike_differ(state: Path) -> None:
    envelope = Envelope(bytes(32))
    assert envelope.seal_fragment("k", Fragment(FRAGMENT)) != envelope.seal_fragment("k", Fragment(FRAGMENT))


@pytest.mark.fault(56)
def test_two_rows_swapped_fail_authentication(any_store: Store, place: Place) -> None:
    any_store.keys.add("k2", Fragment(b"another"))
    tokens = [any_store.tokens.issue(key_id, lifetime=HOUR).text for key_id in ("k1", "k2")]
    place.sql(
        "CREATE TABLE old AS SELECT * FROM keys",
        "UPDATE keys SET sealed_fragment = (SELECT sealed_fragment FROM old WHERE old.key_id != keys.key_id)",
    )
    for token in tokens:
        with pytest.raises(KeyStoreDamagedError):
            any_store.release(token)


@pytest.mark.parametrize("sealed", ["x''", "zeroblob(12)", "zeroblob(28)", "substr(sealed_fragment, 1, 59)"])
def test_a_truncated_or_altered_row_fails_authentication(store: Store, state: Path, sealed: str) -> None:
    token = store.tokens.issue("k1", lifetime=HOUR).text
    sql(state, f"UPDATE keys SET sealed_fragment = {sealed}")
    with pytest.raises(KeyStoreDamagedError):
        store.release(token)


def test_the_check_value_is_no_fragment(store: Store, state: Path) -> None:
    token = store.tokens.issue("k1", lifetime=HOUR).text
    sql(state, "UPDATE keys SET sealed_fragment = (SELECT check_value FROM keks)")
    with pytest.raises(KeyStoreDamagedError):
        store.release(token)


@pytest.mark.fault(55)
def test_a_missing_key_encryption_key_is_refused_and_none_is_made(state: Path) -> None:
    (state / "kek").unlink()
    with pytest.raises(KeyEncryptionKeyError, match="cannot read"):
        open_state(state)
    assert not (state / "kek").exists()
    with pytest.raises(KeyStoreStateError, match="initialised already"):
        create_state(state)
    assert not (state / "kek").exists()


@pytest.mark.fault(55)
def test_another_stores_key_encryption_key_is_refused(state: Path) -> None:
    before = bytes(32)
    (state / "kek").write_bytes(before)
    with pytest.raises(KeyEncryptionKeyError, match="not the one of this store"):
        open_state(state)
    assert (state / "kek").read_bytes() == before


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_encryption_key_of_another_length_is_refused(state: Path, length: int) -> None:
    (state / "kek").write_bytes(bytes(length))
    with pytest.raises(KeyEncryptionKeyError, match="32 bytes"):
        open_state(state)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_key_encryption_key_that_is_open_to_others_is_refused(state: Path, mode: int) -> None:
    (state / "kek").chmod(mode)
    with pytest.raises(KeyEncryptionKeyError, match="open to others"):
        open_state(state)


def test_a_store_without_its_check_value_is_refused(state: Path) -> None:
    sql(state, "DELETE FROM keks")
    with pytest.raises(KeyEncryptionKeyError, match="no check value"):
        open_state(state)


def test_no_repr_shows_a_secret(store: Store, state: Path) -> None:
    issued = store.tokens.issue("k1", lifetime=HOUR)
    key = (state / "kek").read_bytes()
    shown = repr(
        (issued, store, store.keys.page().rows, Envelope(key), store.release(issued.text), vars(store))
    )
    assert issued.text not in shown
    assert issued.text[4:] not in shown
    assert repr(key)[2:-1] not in shown
    assert repr(FRAGMENT)[2:-1] not in shown
    assert KeyRecord.__name__ in shown


def test_a_copied_state_folder_opens_elsewhere(store: Store, state: Path, tmp_path: Path) -> None:
    token = store.tokens.issue("k1", lifetime=HOUR).text
    now = store.clock
    store.close()
    shutil.copytree(state, tmp_path / "a folder #1?%20")
    copy = open_state(tmp_path / "a folder #1?%20", clock=now)
    assert copy.release(token).reveal() == FRAGMENT
    copy.close()
