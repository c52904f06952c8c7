"""Wherever the key-encryption key comes from, the same holds: the right one or no start, and none is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bed.transit_server import TransitServer
from binary_split.errors import ConfigError, KeyEncryptionKeyError
from binary_split.keyservice.kek_making import TransitAccess, create_next_kek
from binary_split.keyservice.rotation import rotate_kek
from binary_split.keyservice.state import create_state, open_state, state_secrets
from binary_split.keyservice.transit import TransitKey
from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR

pytestmark = pytest.mark.slow  # a service runs for each


@dataclass(frozen=True)
class Source:
    """A state whose key comes from somewhere, and how that goes wrong."""

    state: Path
    kek: Path
    make_wrong: Callable[[], None]


@pytest.fixture
def transit_server() -> Iterator[TransitServer]:
    with TransitServer() as server:
        yield server


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _from_file(tmp_path: Path) -> Source:
    state = tmp_path / "state"
    create_state(state)
    return Source(state, state / "kek", lambda: write(state / "kek", bytes(32)))


def _from_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    state, folder = tmp_path / "state", tmp_path / "credentials"
    create_state(state)
    folder.mkdir()
    for name in ("kek", "audit-key"):
        (state / name).rename(folder / name)
        (folder / name).chmod(0o440)  # as systemd shows a credential of an unprivileged service: by an ACL
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))

    def make_wrong() -> None:
        (folder / "kek").chmod(0o600)
        (folder / "kek").write_bytes(bytes(32))

    return Source(state, folder / "kek", make_wrong)


def _from_transit(tmp_path: Path, server: TransitServer) -> Source:
    state = tmp_path / "state"
    create_state(state, transit=TransitAccess(TransitKey(server.url, "kek"), server.token))
    other = tmp_path / "other"
    create_state(other, transit=TransitAccess(TransitKey(server.url, "kek"), server.token))
    return Source(state, state / "kek", lambda: write(state / "kek", (other / "kek").read_bytes()))


@pytest.fixture(params=["file", "credentials", "transit"])
def source(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    transit_server: TransitServer,
) -> Source:
    if request.param == "file":
        return _from_file(tmp_path)
    if request.param == "credentials":
        return _from_credentials(tmp_path, monkeypatch)
    return _from_transit(tmp_path, transit_server)


def test_with_the_right_key_fragments_are_sealed_and_released(source: Source) -> None:
    store = open_state(source.state)
    store.keys.add("k1", Fragment(FRAGMENT))
    token = store.tokens.issue("k1", lifetime=HOUR).text
    store.close()
    store = open_state(source.state)
    assert store.release(token).reveal() == FRAGMENT
    store.close()


@pytest.mark.fault(55)
def test_without_the_key_it_does_not_start_and_makes_none(source: Source) -> None:
    source.kek.rename(source.kek.with_name("away"))
    before = sorted(source.state.rglob("*"))
    with pytest.raises(KeyEncryptionKeyError, match="cannot read"):
        open_state(source.state)
    assert sorted(source.state.rglob("*")) == before
    assert not source.kek.exists()


@pytest.mark.fault(55)
def test_with_another_stores_key_it_does_not_start_and_leaves_it(source: Source) -> None:
    source.make_wrong()
    before = source.kek.read_bytes()
    with pytest.raises(KeyEncryptionKeyError, match="not the one of this store"):
        open_state(source.state)
    assert source.kek.read_bytes() == before


def test_no_file_of_a_transit_state_holds_the_key(transit_server: TransitServer, tmp_path: Path) -> None:
    source = _from_transit(tmp_path, transit_server)
    key = state_secrets(source.state).read_keks()[0]
    assert len(key) == 32
    for path in source.state.iterdir():
        assert key not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


def test_a_release_never_waits_for_the_transit_engine(transit_server: TransitServer, tmp_path: Path) -> None:
    source = _from_transit(tmp_path, transit_server)
    store = open_state(source.state)
    store.keys.add("k1", Fragment(FRAGMENT))
    token = store.tokens.issue("k1", lifetime=HOUR).text
    transit_server.is_sealed = True
    asked = len(transit_server.requests)
    assert store.release(token).reveal() == FRAGMENT
    assert len(transit_server.requests) == asked
    store.close()
    with pytest.raises(KeyEncryptionKeyError, match="transit engine"):
        open_state(source.state)


def test_a_transit_engine_that_refuses_or_is_away_is_named_without_the_token(
    transit_server: TransitServer, tmp_path: Path
) -> None:
    source = _from_transit(tmp_path, transit_server)
    (source.state / "vault-token").write_text("hvs.wrong")
    with pytest.raises(KeyEncryptionKeyError, match="Forbidden") as caught:
        open_state(source.state)
    assert "hvs." not in str(caught.value) + caught.value.hint
    document = json.loads(source.kek.read_bytes())
    document["transit"]["url"] = "http://127.0.0.1:9"
    source.kek.write_text(json.dumps(document))
    with pytest.raises(KeyEncryptionKeyError, match=r"127\.0\.0\.1:9"):
        open_state(source.state)


def test_a_missing_ca_file_is_a_transit_engine_that_cannot_be_asked(
    transit_server: TransitServer, tmp_path: Path
) -> None:
    source = _from_transit(tmp_path, transit_server)
    document = json.loads(source.kek.read_bytes())
    document["transit"] |= {"url": "https://127.0.0.1:9", "ca_file": str(tmp_path / "away.pem")}
    source.kek.write_text(json.dumps(document))
    with pytest.raises(KeyEncryptionKeyError, match="transit engine at"):
        open_state(source.state)


def test_a_garbled_vault_token_is_named_as_what_to_check(
    transit_server: TransitServer, tmp_path: Path
) -> None:
    source = _from_transit(tmp_path, transit_server)
    (source.state / "vault-token").write_bytes(b"hvs.\xff")
    with pytest.raises(KeyEncryptionKeyError, match="transit engine at") as caught:
        open_state(source.state)
    assert "vault-token" in caught.value.hint


def test_a_wrapped_key_that_was_altered_is_refused(transit_server: TransitServer, tmp_path: Path) -> None:
    source = _from_transit(tmp_path, transit_server)
    document = json.loads(source.kek.read_bytes())
    for changed in (
        document | {"ciphertext": "vault:v1:AAAA"},
        {"transit": document["transit"]},
        document | {"transit": {"url": "http://example.com", "key": "kek"}},
        document | {"transit": 1},
    ):
        source.kek.write_text(json.dumps(changed))
        with pytest.raises(KeyEncryptionKeyError):
            open_state(source.state)


def test_a_key_wrapped_by_transit_is_rotated_to_one_that_is_wrapped_too(
    transit_server: TransitServer, tmp_path: Path
) -> None:
    source = _from_transit(tmp_path, transit_server)
    secrets = state_secrets(source.state)
    store = open_state(source.state)
    store.keys.add("k1", Fragment(FRAGMENT))
    token = store.tokens.issue("k1", lifetime=HOUR).text
    rotate_kek(store.ledger, store.ring, secrets.read_keks(), lambda: create_next_kek(secrets))
    assert store.release(token).reveal() == FRAGMENT
    store.close()
    assert json.loads((source.state / "kek.2").read_bytes())["transit"]["key"] == "kek"
    source.kek.unlink()
    store = open_state(source.state)
    assert store.release(token).reveal() == FRAGMENT
    store.close()


def test_a_managed_key_is_not_replaced_behind_the_service_managers_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _from_credentials(tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match="service manager"):
        create_next_kek(state_secrets(source.state))


@pytest.mark.parametrize(
    "url", ["http://example.com", "ftp://127.0.0.1", "https://", "https://u:p@example.com", "http://[::1", ""]
)
def test_a_transit_engine_is_reached_over_https_or_on_loopback_only(url: str) -> None:
    with pytest.raises(ConfigError):
        TransitKey(url, "kek")
    with pytest.raises(ConfigError):
        TransitKey("https://example.com", "../x y")


def test_without_the_audit_key_it_does_not_start_and_makes_none(tmp_path: Path) -> None:
    source = _from_file(tmp_path)
    (source.state / "audit-key").unlink()
    with pytest.raises(KeyEncryptionKeyError, match="audit key"):
        open_state(source.state)
    assert not (source.state / "audit-key").exists()
