from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from bed.certs import make_leaf
from bed.postgres import PrivatePostgres
from bed.unavailable import Unavailable
from binary_split.keyservice.serve import build_store_server
from binary_split.keyservice.state import create_state, open_state
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from binary_split.service.listener import listener_url, open_listener
from binary_split.service.server import run_server
from binary_split.service.tls import TlsFiles, tls_context
from tests.keyservice.places import Place
from tests.lending import lent

FRAGMENT = bytes(range(32))
HOUR = timedelta(hours=1)


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@dataclass
class Service:
    """A running key service, and a client that trusts its certificate."""

    url: str
    store: Store
    client: requests.Session
    clock: Hands

    def ask(
        self, token: str | None = None, *, path: str = "/binary-split/key-fragment", method: str = "GET"
    ) -> requests.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.client.request(
            method, self.url + path, headers=headers, timeout=10, allow_redirects=False
        )

    def issue(self, key_id: str = "k1", *, lifetime: timedelta = HOUR) -> str:
        return self.store.tokens.issue(key_id, lifetime=lifetime).text


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = tmp_path_factory.mktemp("tls")
    identity = make_leaf(None)
    files = TlsFiles(folder / "cert.pem", folder / "key.pem")
    identity.write_certificate(files.certificate)
    files.key.write_bytes(identity.key_pem)
    return files


@pytest.fixture(scope="session")
def _pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one state for all tests to copy: alembic takes its time."""
    folder = tmp_path_factory.mktemp("pristine") / "state"
    create_state(folder)
    return folder


def _copy_state(pristine: Path, folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    for file in pristine.iterdir():
        copy = folder / file.name
        copy.touch(mode=0o600)
        copy.write_bytes(file.read_bytes())
    return folder


@contextmanager
def _opened(state: Path, clock: Hands) -> Iterator[Store]:
    store = open_state(state, clock=clock, busy_timeout_s=0.2)
    store.keys.add("k1", Fragment(FRAGMENT))
    yield store
    store.close()


@contextmanager
def _running(store: Store, tls: TlsFiles, clock: Hands) -> Iterator[Service]:
    listener = open_listener("127.0.0.1", 0, plain=False)
    server = build_store_server(store, tls_context(tls))
    thread = threading.Thread(target=run_server, args=(server, listener))
    thread.start()
    with requests.Session() as client:
        client.verify = str(tls.certificate)
        client.trust_env = False
        yield Service(listener_url(listener, plain=False), store, client, clock)
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
def state(_pristine: Path, tmp_path: Path) -> Path:
    return _copy_state(_pristine, tmp_path / "state")


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def store(state: Path, clock: Hands) -> Iterator[Store]:
    with _opened(state, clock) as store:
        yield store


@pytest.fixture
def own_service(store: Store, tls: TlsFiles, clock: Hands) -> Iterator[Service]:
    """A service whose store the test may break."""
    with _running(store, tls, clock) as service:
        yield service


@pytest.fixture(scope="session")
def service(_pristine: Path, tls: TlsFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that only ask: each issues its own token."""
    clock = Hands()
    state = _copy_state(_pristine, tmp_path_factory.mktemp("shared") / "state")
    with _opened(state, clock) as store, _running(store, tls, clock) as service:
        yield service


@pytest.fixture
def trusting(tls: TlsFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(tls.certificate))


@pytest.fixture(scope="session")
def postgres(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivatePostgres]:
    """A PostgreSQL of our own, for all tests that do not break it."""
    with lent(PrivatePostgres, could_not_run) as server:
        yield server


@pytest.fixture(scope="module")
def own_postgres(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivatePostgres]:
    """A PostgreSQL that the tests of a module may break, and start again."""
    with lent(PrivatePostgres, could_not_run) as server:
        yield server


@pytest.fixture(scope="session")
def _pristine_postgres(postgres: PrivatePostgres, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("pristine-postgres") / "state"
    database = postgres.create_database()
    create_state(folder, database_url=postgres.url(database))
    (folder.parent / "template").write_text(database)
    return Place(folder, postgres)


@pytest.fixture
def postgres_place(_pristine_postgres: Place, postgres: PrivatePostgres, tmp_path: Path) -> Place:
    """A new state on PostgreSQL."""
    folder = _copy_state(_pristine_postgres.folder, tmp_path / "postgres-state")
    template = (_pristine_postgres.folder.parent / "template").read_text()
    database = postgres.create_database(template=template)
    (folder / "database-url").write_text(postgres.url(database))
    return Place(folder, postgres)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest) -> Place:
    """A new state, once on each database."""
    if request.param == "postgres":
        found = request.getfixturevalue("postgres_place")
        assert isinstance(found, Place)
        return found
    return Place(request.getfixturevalue("state"))


@pytest.fixture
def any_store(place: Place, clock: Hands) -> Iterator[Store]:
    """A store on each database, with the key k1."""
    store = place.open(clock=clock)
    store.keys.add("k1", Fragment(FRAGMENT))
    yield store
    store.close()
