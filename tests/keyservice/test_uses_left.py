"""Uses are never oversold and revocations are seen at once, by threads and by processes on one database."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from binary_split.errors import FragmentForbiddenError, FragmentNotFoundError, RecordError
from binary_split.keyservice.database import reading
from binary_split.keyservice.release_spending import NONCE_KEPT_S
from binary_split.keyservice.releases import Released, ReleaseRequest
from binary_split.keyservice.schema import SPENT_NONCES
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR, Hands
from tests.keyservice.places import Place, result

USES = 40

DRAIN = """
from binary_split.errors import FragmentNotFoundError
from binary_split.keyservice.releases import ReleaseRequest
store = open_state(folder, busy_timeout_s=20)
print("ready", flush=True)
sys.stdin.readline()
futures = [store.submit_release(ReleaseRequest(token=arguments[0], key_id="k1")) for _ in range(60)]
errors = [future.exception(timeout=50) for future in futures]
assert all(error is None or isinstance(error, FragmentNotFoundError) for error in errors), errors
store.close()
print(json.dumps([errors.count(None)]))
"""

WATCH = """
import time
from binary_split.errors import FragmentForbiddenError
store = open_state(folder, busy_timeout_s=20)
print("ready", flush=True)
got = []
try:
    while True:
        store.release(arguments[0])
        got.append(time.time())
except FragmentForbiddenError:
    pass
store.close()
print(json.dumps([len(got), got[-1]]))
"""


def limited_token(store: Store, *, uses: int) -> str:
    store.devices.add("d1", public_key=b"key")
    store.grants.add("k1", device_id="d1", uses=uses)
    store.keys.set_plain_release("k1", "allowed")
    return store.tokens.issue(lifetime=timedelta(days=30), device_id="d1").text


def sealed(store: Store, token: str, nonce: bytes) -> Released:
    request = ReleaseRequest(token=token, key_id="k1", is_sealed=True, nonce=nonce)
    return store.submit_release(request).result(timeout=20)


def uses_left(store: Store) -> int | None:
    return store.grants.page(device_id="d1").rows[0].uses_left


def test_each_release_spends_one_use_until_none_is_left(any_store: Store) -> None:
    token = limited_token(any_store, uses=2)
    for left in (1, 0):
        assert any_store.release(token).reveal() == FRAGMENT
        assert uses_left(any_store) == left
    with pytest.raises(FragmentNotFoundError):
        any_store.release(token)
    assert len(any_store.audit.page(kind="release").rows) == 2


def test_a_repeated_nonce_spends_nothing_even_when_no_use_is_left(any_store: Store) -> None:
    token = limited_token(any_store, uses=1)
    first = sealed(any_store, token, b"n" * 16)
    again = sealed(any_store, token, b"n" * 16)
    assert (first.is_repeat, again.is_repeat) == (False, True)
    assert again.fragment.reveal() == FRAGMENT
    with pytest.raises(FragmentNotFoundError):
        sealed(any_store, token, b"m" * 16)
    assert len(any_store.audit.page(kind="release").rows) == 2, "a repeat is recorded as well"


def test_a_nonce_repeated_within_one_batch_spends_once(any_store: Store) -> None:
    token = limited_token(any_store, uses=5)
    request = ReleaseRequest(token=token, key_id="k1", is_sealed=True, nonce=b"n" * 16)
    futures = [any_store.submit_release(request) for _ in range(20)]
    assert [future.result(timeout=20).is_repeat for future in futures].count(False) == 1
    assert uses_left(any_store) == 4


def test_a_nonce_counts_for_one_key_and_one_device(any_store: Store) -> None:
    token = limited_token(any_store, uses=5)
    any_store.devices.add("d2", public_key=b"key")
    any_store.grants.add("k1", device_id="d2", uses=5)
    other = any_store.tokens.issue(lifetime=HOUR, device_id="d2").text
    any_store.keys.add("k2", Fragment(b"second"))
    any_store.grants.add("k2", device_id="d1", uses=5)
    assert not sealed(any_store, token, b"n" * 16).is_repeat
    assert not sealed(any_store, other, b"n" * 16).is_repeat
    request = ReleaseRequest(token=token, key_id="k2", is_sealed=True, nonce=b"n" * 16)
    assert not any_store.submit_release(request).result(timeout=20).is_repeat


def test_a_nonce_is_known_for_a_day_and_old_ones_do_not_pile_up(any_store: Store, clock: Hands) -> None:
    token = limited_token(any_store, uses=100)

    def known() -> int:
        with reading(any_store.engine) as connection:
            return connection.execute(select(func.count()).select_from(SPENT_NONCES)).scalar_one()

    for number in range(20):
        assert not sealed(any_store, token, bytes([number]) * 16).is_repeat
    clock.time += timedelta(seconds=NONCE_KEPT_S)
    assert sealed(any_store, token, bytes(16)).is_repeat
    assert not sealed(any_store, token, b"a" * 16).is_repeat
    assert (known(), uses_left(any_store)) == (21, 79)
    clock.time += timedelta(seconds=1)
    for left in (20, 19, 18):  # one comes, two go
        assert not sealed(any_store, token, bytes([left]) * 17).is_repeat
        assert known() == left
    for number in range(40):
        sealed(any_store, token, bytes([number]) * 18)
    assert known() == 1 + 3 + 40, "what is not a day old is all there"
    assert not sealed(any_store, token, bytes(16)).is_repeat, "it is another fetch, a day later"
    any_store.audit.verify()


def test_a_repeated_nonce_gets_nothing_once_its_grant_is_revoked(any_store: Store) -> None:
    token = limited_token(any_store, uses=1)
    sealed(any_store, token, b"n" * 16)
    any_store.grants.revoke(any_store.grants.page().rows[0].grant_id)
    with pytest.raises(FragmentNotFoundError):
        sealed(any_store, token, b"n" * 16)


def test_an_offline_release_spends_a_use_and_says_why_it_is_refused(any_store: Store) -> None:
    limited_token(any_store, uses=1)
    released = any_store.offline.release("d1", "k1", by="tok_admin")
    assert (released.fragment.reveal(), released.public_key, released.token_id) == (
        FRAGMENT,
        b"key",
        "tok_admin",
    )
    with pytest.raises(RecordError, match="every use is spent"):
        any_store.offline.release("d1", "k1")
    any_store.keys.add("k2", Fragment(b"second"))
    with pytest.raises(RecordError, match="no grant gives it now"):
        any_store.offline.release("d1", "k2")
    any_store.grants.add("k2", device_id="d1", not_before=any_store.clock() + HOUR)
    with pytest.raises(RecordError, match="no grant gives it now"):
        any_store.offline.release("d1", "k2")
    with pytest.raises(RecordError, match="no such key"):
        any_store.offline.release("d1", "unknown")
    any_store.devices.add("d2")
    any_store.grants.add("k1", device_id="d2")
    with pytest.raises(RecordError, match="enrolled no public key"):
        any_store.offline.release("d2", "k1")
    any_store.devices.disable("d2")
    with pytest.raises(RecordError, match="disabled"):
        any_store.offline.release("d2", "k1")


@pytest.mark.slow
def test_two_processes_never_oversell_a_grant(place: Place) -> None:
    store = place.open()
    store.keys.add("k1", Fragment(FRAGMENT))
    token = limited_token(store, uses=USES)
    with place.process(DRAIN, token) as first, place.process(DRAIN, token) as second:
        for process in (first, second):
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == "ready\n"
        for process in (first, second):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        counts = result(first) + result(second)
    assert sum(counts) == USES, counts
    assert uses_left(store) == 0
    assert len(store.audit.page(kind="release", limit=1000).rows) == USES
    store.audit.verify()
    store.close()


@pytest.mark.fault(51)
@pytest.mark.slow
def test_a_revocation_by_one_process_is_seen_at_the_next_request_by_another(place: Place) -> None:
    store = place.open(busy_timeout_s=20)
    store.keys.add("k1", Fragment(FRAGMENT))
    issued = store.tokens.issue("k1", lifetime=HOUR)
    with place.process(WATCH, issued.text) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "ready\n"
        time.sleep(0.3)
        store.tokens.revoke(issued.record.token_id)
        confirmed = time.time()
        count, last = result(watcher)
    assert count > 0
    assert last <= confirmed, "a fragment was released after the revocation was confirmed"
    with pytest.raises(FragmentForbiddenError):
        store.release(issued.text)
    store.audit.verify()
    store.close()
