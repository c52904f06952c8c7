"""What the service answers when its store fails, and that it recovers."""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event

from binary_split.errors import KeyStoreDamagedError, KeyStoreStateError
from binary_split.keyservice import checkpoint_times, checkpoints, group_commit
from binary_split.keyservice.group_commit import GroupCommit
from binary_split.keyservice.releases import ReleaseRequest
from binary_split.keyservice.state import open_state
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR, Service


@pytest.mark.fault(52)
def test_a_locked_database_is_503_and_the_service_recovers(own_service: Service, state: Path) -> None:
    token = own_service.issue()
    own_service.store.close()  # a pooled connection would keep the other program from its lock
    with closing(sqlite3.connect(state / "keyservice.sqlite3", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        answer = own_service.ask(token)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert own_service.ask(path="/readyz").status_code == 503
        assert own_service.ask(path="/healthz").status_code == 200
    assert own_service.ask(token).content == FRAGMENT
    assert own_service.ask(path="/readyz").status_code == 200


@pytest.mark.fault(52, 53)
def test_another_writer_is_503_since_no_record_can_be_made_and_then_fragments_flow(
    own_service: Service, state: Path
) -> None:
    token = own_service.issue()
    with closing(sqlite3.connect(state / "keyservice.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = own_service.ask(token)
        assert answer.status_code == 503
        assert FRAGMENT not in answer.content
        with pytest.raises(KeyStoreStateError, match="locked"):
            own_service.issue()
    assert own_service.ask(token).status_code == 200


@pytest.mark.fault(52, 53)
def test_a_full_disk_is_503_until_there_is_room(own_service: Service) -> None:
    token = own_service.issue()
    store = own_service.store
    store.close()  # pooled connections have no bound yet
    pages = ["PRAGMA max_page_count=1"]

    @event.listens_for(store.engine, "connect")
    def _fill(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(pages[0])

    answers = [own_service.ask(token)]
    while answers[-1].status_code == 200:
        answers.append(own_service.ask(token))
    assert answers[-1].status_code == 503
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert FRAGMENT not in answers[-1].content
    store.engine.dispose()
    pages[0] = "PRAGMA max_page_count=1000000"
    assert own_service.ask(token).content == FRAGMENT
    released = store.audit.page(kind="release", limit=1000).rows
    assert len(released) == len(answers), "each fragment that left has its record"
    store.audit.verify()


def test_a_defect_beside_the_releases_is_logged_and_ends_none_of_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise RuntimeError("a defect")

    monkeypatch.setattr(group_commit, "_IDLE_S", 0.01)
    commits: GroupCommit[int, int] = GroupCommit(lambda batch: batch, idle=fail)
    commits.start()
    assert failed.wait(5)
    assert [commits.submit(number).result(5) for number in (1, 2)] == [1, 2]
    commits.stop()
    assert "beside the releases" in caplog.text


def test_a_process_that_is_stopped_while_it_writes_a_checkpoint_keeps_no_fragment_back(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "_LOCK_S", 0.05)
    monkeypatch.setattr(checkpoint_times, "CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr(group_commit, "_IDLE_S", 0.01)
    store = open_state(state)
    store.keys.add("k1", Fragment(FRAGMENT))
    token = store.tokens.issue("k1", lifetime=HOUR)
    with (state / "audit-checkpoints").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        store.start()
        end = time.monotonic() + 10
        while "another process has held" not in caplog.text:
            assert time.monotonic() < end
            asked = store.submit_release(ReleaseRequest(token=token.text))
            assert asked.result(10).fragment.reveal() == FRAGMENT
        with pytest.raises(KeyStoreStateError, match="another process has held"):
            store.tokens.revoke(token.record.token_id)
    assert store.tokens.find_id(token.record.token_id).revoked is not None
    store.close()
    assert store.audit.verify().seq
    store.close()


@pytest.mark.fault(52)
def test_a_full_disk_is_named_and_leaves_the_store_usable(store: Store) -> None:
    token = store.tokens.issue("k1", lifetime=HOUR).text
    store.close()

    @event.listens_for(store.engine, "connect")
    def _fill(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count=1")  # SQLite's own "database or disk is full"

    with pytest.raises(KeyStoreStateError, match="full"):
        store.keys.add("big", Fragment(bytes(60_000)))
    assert [key.key_id for key in store.keys.page().rows] == ["k1"]
    assert store.release(token).reveal() == FRAGMENT


@pytest.mark.fault(52, 53)
def test_on_a_full_disk_no_fragment_leaves_and_no_use_is_spent_until_there_is_room(store: Store) -> None:
    store.devices.add("d1")
    store.grants.add("k1", device_id="d1", uses=10_000)
    token = store.tokens.issue(lifetime=HOUR, device_id="d1").text
    store.close()
    pages = ["PRAGMA max_page_count=1"]

    @event.listens_for(store.engine, "connect")
    def _fill(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(pages[0])

    def release_until_it_is_full() -> None:
        while True:
            released.append(store.release(token))

    released: list[Fragment] = []
    with pytest.raises(KeyStoreStateError, match="full"):
        release_until_it_is_full()
    assert store.grants.page().rows[0].uses_left == 10_000 - len(released)
    assert len(store.audit.page(kind="release", limit=1000).rows) == len(released)
    store.engine.dispose()
    pages[0] = "PRAGMA max_page_count=1000000"
    assert store.release(token).reveal() == FRAGMENT
    store.audit.verify()


def test_a_file_that_is_no_database_is_named_as_damage(state: Path) -> None:
    (state / "keyservice.sqlite3").write_bytes(b"not a database, " * 1000)
    with pytest.raises(KeyStoreDamagedError):
        open_state(state)


def test_a_vanished_database_is_503_and_no_empty_one_is_made(own_service: Service, state: Path) -> None:
    token = own_service.issue()
    own_service.store.close()
    database = state / "keyservice.sqlite3"
    database.rename(state / "elsewhere")
    assert own_service.ask(token).status_code == 503
    assert not database.exists()
    (state / "elsewhere").rename(database)
    assert own_service.ask(token).status_code == 200


def test_an_altered_fragment_is_500_without_details(own_service: Service, state: Path) -> None:
    token = own_service.issue()
    with closing(sqlite3.connect(state / "keyservice.sqlite3")) as other, other:
        other.execute("UPDATE keys SET sealed_fragment = zeroblob(60)")
    answer = own_service.ask(token)
    assert answer.status_code == 500
    assert answer.json() == {"type": "about:blank", "title": "Internal Server Error", "status": 500}


def test_an_unexpected_exception_is_a_bare_500_and_its_message_is_not_logged(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quoting = "something ".__add__

    def fail(_store: Store, request: ReleaseRequest) -> None:
        raise ValueError(quoting(request.token))

    token = service.issue()
    monkeypatch.setattr(Store, "submit_release", fail)
    with caplog.at_level(logging.DEBUG):
        answer = service.ask(token)
    assert answer.status_code == 500
    assert answer.json() == {"type": "about:blank", "title": "Internal Server Error", "status": 500}
    assert answer.headers["Cache-Control"] == "no-store"
    assert "unexpected ValueError" in caplog.text
    assert "test_failures.py" in caplog.text
    assert token not in caplog.text
    assert "something" not in caplog.text


def _service_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    records = [vars(record) for record in caplog.records if record.name.startswith("binary_split")]
    return [
        f"{fields['client']} {fields['method']} {fields['path']} {fields['status']}" for fields in records
    ]


def test_no_log_holds_a_token_a_query_or_a_fragment(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    token = service.issue()
    with caplog.at_level(logging.DEBUG):
        service.ask(token, path="/binary-split/key-fragment?key_id=k1&access_token=" + token)
        service.ask(token, path=f"/{token}/x")
        service.ask("bsk_unknown")
        service.ask(path="/a%0AINFO%20forged")
    assert not [record for record in caplog.records if record.name == "uvicorn.access"]
    assert sorted(_service_lines(caplog)) == [
        "127.0.0.1 GET /a%0AINFO%20forged 404",
        "127.0.0.1 GET /binary-split/key-fragment 200",
        "127.0.0.1 GET /binary-split/key-fragment 401",
        "127.0.0.1 GET /bsk_…/x 404",
    ]
    ours = "".join(str(vars(r)) for r in caplog.records if not r.name.startswith("urllib3"))
    assert token not in ours
    assert token[4:] not in ours
