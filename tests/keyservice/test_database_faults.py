"""PostgreSQL dies, is full of connections, or is locked: 503, and the service recovers by itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bed.postgres import PrivatePostgres
from binary_split.errors import ConfigError, KeyEncryptionKeyError, KeyStoreStateError
from binary_split.keyservice.database import parse_postgres_url, reading
from binary_split.keyservice.state import create_state
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from binary_split.service.tls import TlsFiles
from tests.keyservice.conftest import FRAGMENT, HOUR, Hands, Service, _running
from tests.keyservice.places import Place

pytestmark = pytest.mark.slow


@pytest.fixture
def breakable(
    own_postgres: PrivatePostgres, tmp_path: Path, tls: TlsFiles, clock: Hands
) -> Iterator[Service]:
    """A service on a PostgreSQL that the test may break."""
    folder = tmp_path / "state"
    create_state(folder, database_url=own_postgres.url(own_postgres.create_database()))
    store = Place(folder, own_postgres).open(clock=clock, busy_timeout_s=1)
    store.keys.add("k1", Fragment(FRAGMENT))
    with _running(store, tls, clock) as service:
        yield service
    store.close()


@pytest.mark.fault(52)
def test_a_killed_postgres_is_503_and_the_service_recovers_with_everything_confirmed(
    breakable: Service, own_postgres: PrivatePostgres
) -> None:
    token = breakable.issue()
    answers = [breakable.ask(token).status_code for _ in range(20)]
    assert answers == [200] * 20
    own_postgres.crash()
    for _ in range(2):
        answer = breakable.ask(token)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert FRAGMENT not in answer.content
        assert breakable.ask(path="/readyz").status_code == 503
        assert breakable.ask(path="/healthz").status_code == 200
    own_postgres.start()
    assert breakable.ask(token).content == FRAGMENT
    assert breakable.ask(path="/readyz").status_code == 200
    releases = breakable.store.audit.page(kind="release", limit=1000).rows
    assert len(releases) == 21, "each confirmed release has its record, and none has two"
    breakable.store.audit.verify()


@pytest.mark.fault(52)
def test_connections_that_the_server_ends_cost_one_503_at_most(
    breakable: Service, own_postgres: PrivatePostgres
) -> None:
    token = breakable.issue()
    assert breakable.ask(token).status_code == 200
    own_postgres.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'binary-split%'"
    )
    assert breakable.ask(token).status_code in (200, 503)
    assert [breakable.ask(token).status_code for _ in range(3)] == [200] * 3


@pytest.mark.fault(52)
def test_an_exhausted_pool_is_503_and_recovers(breakable: Service) -> None:
    token = breakable.issue()
    with ExitStack() as held:
        for _ in range(15):
            held.enter_context(reading(breakable.store.engine))
        started = time.monotonic()
        assert breakable.ask(token).status_code == 503
        assert breakable.ask(path="/readyz").status_code == 503
        assert time.monotonic() - started < 8
    assert breakable.ask(token).status_code == 200


def test_a_held_turn_in_the_chain_is_503_and_recovers(breakable: Service) -> None:
    token = breakable.issue()
    with breakable.store.ledger.writing():
        assert breakable.ask(token).status_code == 503
    assert breakable.ask(token).status_code == 200


def test_a_database_url_holds_no_surprise(tmp_path: Path, postgres_place: Place) -> None:
    for text in ("", "sqlite:///x", "postgresql://host", "mysql://u:p@h/d", "postgresql://u:p@ss:word@h/d"):
        with pytest.raises(ConfigError) as caught:
            parse_postgres_url(text)
        assert "u:p" not in str(caught.value)
        assert caught.value.__context__ is None, "what it would show may be a part of the password"
    (postgres_place.folder / "database-url").chmod(0o644)
    with pytest.raises(KeyEncryptionKeyError, match="open to others"):
        postgres_place.open()


def test_an_option_in_the_url_that_libpq_does_not_know_is_no_damage(postgres_place: Place) -> None:
    file = postgres_place.folder / "database-url"
    file.write_text(file.read_text().strip() + ("&" if "?" in file.read_text() else "?") + "nonsense=1")
    with pytest.raises(KeyStoreStateError, match="nonsense") as caught:
        postgres_place.open()
    assert "options" in caught.value.hint


def test_a_database_that_is_a_key_service_already_is_not_taken_over(
    postgres_place: Place, tmp_path: Path
) -> None:
    url = (postgres_place.folder / "database-url").read_text().strip()
    with pytest.raises(KeyStoreStateError, match="already"):
        create_state(tmp_path / "second", database_url=url)
    assert not (tmp_path / "second").exists()
    postgres_place.open().close()


def test_a_second_machine_joins_with_a_copy_of_the_state_folder(
    postgres_place: Place, tmp_path: Path, clock: Hands
) -> None:
    first = postgres_place.open(clock=clock)
    first.keys.add("k1", Fragment(FRAGMENT))
    issued = first.tokens.issue("k1", lifetime=HOUR)
    shutil.copytree(postgres_place.folder, tmp_path / "copy")
    second: Store = Place(tmp_path / "copy", postgres_place.postgres).open(clock=clock)
    assert second.release(issued.text).reveal() == FRAGMENT
    first.keys.destroy("k1")
    second.tokens.revoke(issued.record.token_id)
    for store in (first, second):
        store.audit.verify()
        store.close()
