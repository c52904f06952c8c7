"""The drill: an old backup is restored, and what was taken away since stays taken away."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from bed.postgres import find_program
from binary_split.errors import (
    DeviceKeyNeededError,
    EnrolmentRefusedError,
    FragmentForbiddenError,
    FragmentNotFoundError,
    KeyStoreRolledBackError,
    KeyStoreStateError,
)
from binary_split.keyservice.backup import backup_database, restore_database
from binary_split.keyservice.restore import RestoreReport, accept_restored
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR
from tests.keyservice.places import Place


def save(place: Place, file: Path) -> None:
    """Back up as docs/key-service.md says for each database."""
    if place.postgres is None:
        backup_database(place.folder, file)
        return
    url = (place.folder / "database-url").read_text().strip()
    subprocess.run([find_program("pg_dump"), "-Fc", "-f", file, url], check=True, timeout=60)


def bring_back(place: Place, file: Path) -> None:
    if place.postgres is None:
        restore_database(place.folder, file)
        return
    url = (place.folder / "database-url").read_text().strip()
    subprocess.run(
        [find_program("pg_restore"), "--clean", "--if-exists", "-d", url, file], check=True, timeout=60
    )


def accept(place: Place) -> RestoreReport:
    from binary_split.keyservice.state import open_state

    store = open_state(place.folder, accept_older=True)
    report = accept_restored(store.ledger)
    store.close()
    return report


def prepared(place: Place) -> tuple[Store, dict[str, str]]:
    store = place.open()
    for key_id in ("k1", "k2", "k3"):
        store.keys.add(key_id, Fragment(FRAGMENT))
    for device_id in ("d1", "d2", "d3"):
        store.devices.add(device_id)
        store.grants.add("k1", device_id=device_id)
    store.grants.add("k2", device_id="d1", uses=5)
    texts = {name: store.tokens.issue(lifetime=HOUR, device_id=name).text for name in ("d1", "d2", "d3")}
    texts["direct"] = store.tokens.issue("k3", lifetime=HOUR).text
    texts["code"] = store.enrolment.issue("d3", lifetime=HOUR).text
    return store, texts


@pytest.mark.fault(57)
def test_after_a_restore_nothing_that_was_revoked_works_again(place: Place, tmp_path: Path) -> None:
    store, texts = prepared(place)
    store.close()
    save(place, tmp_path / "backup")
    store = place.open()
    grant = next(grant for grant in store.grants.page(device_id="d1").rows if grant.key_id == "k1")
    store.grants.revoke(grant.grant_id)
    store.devices.disable("d2")
    store.tokens.revoke(store.tokens.page(key_id="k3").rows[0].token_id)
    store.enrolment.redeem(texts["code"], b"key", token_lifetime=HOUR)
    store.keys.destroy("k2")
    store.close()

    bring_back(place, tmp_path / "backup")
    with pytest.raises(KeyStoreRolledBackError, match="a checkpoint has seen record") as caught:
        place.open()
    assert "accept-restore" in caught.value.hint
    report = accept(place)
    assert (report.reapplied, report.limited_grants) == (5, 1)
    assert report.lost_records >= 5

    store = place.open()
    with pytest.raises(FragmentNotFoundError):
        store.release(texts["d1"], key_id="k1")
    with pytest.raises(FragmentForbiddenError):
        store.release(texts["d2"], key_id="k1")
    with pytest.raises(FragmentForbiddenError):
        store.release(texts["d3"], key_id="k1")
    with pytest.raises(FragmentForbiddenError):
        store.release(texts["direct"])
    with pytest.raises(EnrolmentRefusedError):
        store.enrolment.redeem(texts["code"], b"thief", token_lifetime=HOUR)
    assert store.keys.find("k2").state == "destroyed"
    assert store.audit.verify().seq > report.reapplied
    assert store.audit.page(kind="restore").rows[0].actor == "local"
    store.close()


@pytest.mark.fault(57)
def test_after_a_restore_nobody_is_back_in_a_group_and_no_policy_is_lax_again(
    place: Place, tmp_path: Path
) -> None:
    store, texts = prepared(place)
    store.grants.add("k3", group="fleet")
    store.devices.set_groups("d1", ["fleet"])
    store.close()
    save(place, tmp_path / "backup")
    store = place.open()
    store.devices.set_groups("d1", [])
    store.devices.add("later")
    store.devices.set_groups("later", ["fleet"])
    store.keys.set_plain_release("k1", "refused")
    store.close()

    bring_back(place, tmp_path / "backup")
    assert accept(place).reapplied == 3
    store = place.open()
    assert store.devices.find("d1").groups == ()
    with pytest.raises(FragmentNotFoundError):
        store.release(texts["d1"], key_id="k3")
    with pytest.raises(DeviceKeyNeededError):
        store.release(texts["d2"], key_id="k1")
    assert store.audit.verify().seq
    store.close()


@pytest.mark.fault(57)
def test_a_second_older_restore_does_not_bring_back_what_was_undone_between(
    place: Place, tmp_path: Path
) -> None:
    store, texts = prepared(place)
    store.close()
    save(place, tmp_path / "first")
    store = place.open()
    store.devices.disable("d2")
    store.close()
    bring_back(place, tmp_path / "first")
    accept(place)
    store = place.open()
    store.devices.enable("d2")
    store.close()
    save(place, tmp_path / "second")
    store = place.open()
    store.devices.disable("d1")
    store.close()
    bring_back(place, tmp_path / "second")
    assert accept(place).reapplied == 1
    store = place.open()
    assert store.release(texts["d2"], key_id="k1").reveal() == FRAGMENT
    assert store.devices.find("d1").state == "disabled"
    store.audit.verify()
    store.close()


def test_a_fresh_backup_is_served_without_a_word(place: Place, tmp_path: Path) -> None:
    store, texts = prepared(place)
    store.close()
    save(place, tmp_path / "backup")
    bring_back(place, tmp_path / "backup")
    store = place.open()
    assert store.release(texts["direct"]).reveal() == FRAGMENT
    store.close()


def test_accepting_twice_changes_no_right_and_the_chain_holds(place: Place, tmp_path: Path) -> None:
    store, texts = prepared(place)
    store.close()
    save(place, tmp_path / "backup")
    store = place.open()
    store.devices.disable("d2")
    store.close()
    bring_back(place, tmp_path / "backup")
    accept(place)
    assert accept(place).reapplied == 0
    store = place.open()
    with pytest.raises(FragmentForbiddenError):
        store.release(texts["d2"], key_id="k1")
    store.audit.verify()
    store.close()


@pytest.mark.fault(57)
def test_a_database_with_another_history_of_the_same_length_is_refused(place: Place, tmp_path: Path) -> None:
    store, _ = prepared(place)
    store.close()
    save(place, tmp_path / "backup")
    store = place.open()
    store.devices.disable("d2")
    store.close()
    checkpoints = place.folder / "audit-checkpoints"
    seen = checkpoints.read_bytes()
    bring_back(place, tmp_path / "backup")
    checkpoints.unlink()
    store = place.open()
    for number in range(5):
        store.devices.add(f"n{number}")
    store.close()
    checkpoints.write_bytes(seen)
    with pytest.raises(KeyStoreRolledBackError, match="is not the one"):
        place.open()


def test_a_backup_of_a_running_service_is_whole_private_and_never_over_a_file(
    store: Store, state: Path, tmp_path: Path
) -> None:
    token = store.tokens.issue("k1", lifetime=HOUR)
    backup_database(state, tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(tmp_path / "backup")) as copy:
        assert copy.execute("SELECT count(*) FROM tokens").fetchone() == (1,)
    with pytest.raises(KeyStoreStateError, match="exists already"):
        backup_database(state, tmp_path / "backup")
    assert store.release(token.text).reveal() == FRAGMENT


@pytest.mark.slow
def test_a_restore_is_refused_while_the_service_runs(store: Store, state: Path, tmp_path: Path) -> None:
    backup_database(state, tmp_path / "backup")
    store.tokens.page()  # so that a connection is open
    with pytest.raises(KeyStoreStateError, match="locked"):
        restore_database(state, tmp_path / "backup")


def test_a_file_that_is_no_backup_is_refused_and_the_database_stays(
    store: Store, state: Path, tmp_path: Path
) -> None:
    store.close()
    for content in (b"", b"not a database" * 1000):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(KeyStoreStateError, match="no backup"):
            restore_database(state, tmp_path / "bad")
    assert [key.key_id for key in store.keys.page().rows] == ["k1"]
