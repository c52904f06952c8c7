"""Who may have which key now: every no is the same answer, and nothing that decides is cached."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import timedelta

import pytest

from binary_split.errors import (
    BinarySplitError,
    DeviceKeyNeededError,
    FragmentForbiddenError,
    FragmentNotFoundError,
    RecordError,
    TokenRejectedError,
)
from binary_split.keyservice.decision import (
    Bearer,
    Grant,
    KeyFacts,
    holds_key,
    meant_key,
    refuse_release,
    usable_grants,
)
from binary_split.keyservice.releases import Released, ReleaseRequest
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR, Hands

NONCE = bytes(16)


def device_token(store: Store, device_id: str = "d1", *, public_key: bytes | None = None) -> str:
    store.devices.add(device_id, groups=["fleet"], public_key=public_key)
    return store.tokens.issue(lifetime=1000 * HOUR, device_id=device_id).text


def ask(
    store: Store, token: str, key_id: str | None = "k1", *, sealed: bool = False, nonce: bytes | None = None
) -> Released:
    request = ReleaseRequest(token=token, key_id=key_id, is_sealed=sealed, nonce=nonce, source="192.0.2.1")
    return store.submit_release(request).result(timeout=20)


def refused(store: Store, token: str, key_id: str | None = "k1", *, sealed: bool = False) -> str:
    with pytest.raises(FragmentNotFoundError) as caught:
        ask(store, token, key_id, sealed=sealed)
    return str(caught.value)


def sealed_only(store: Store, token: str) -> None:
    """Whoever may have the key is told that it must be asked for sealed."""
    with pytest.raises(DeviceKeyNeededError):
        ask(store, token)


@pytest.mark.parametrize("receiver", [{"device_id": "d1"}, {"group": "fleet"}])
def test_a_device_gets_what_it_or_its_group_is_granted_until_that_is_revoked(
    any_store: Store, receiver: dict[str, str]
) -> None:
    token = device_token(any_store)
    other = device_token(any_store, "other")
    any_store.devices.set_groups("other", [])
    refused(any_store, token)
    grant = any_store.grants.add("k1", **receiver)  # type: ignore[arg-type]
    released = ask(any_store, token)
    assert (released.fragment.reveal(), released.device_id) == (FRAGMENT, "d1")
    assert ask(any_store, token, None).key_id == "k1"
    refused(any_store, other)
    any_store.grants.revoke(grant.grant_id)
    refused(any_store, token)


def test_a_device_loses_its_groups_keys_when_it_leaves_the_group(any_store: Store) -> None:
    token = device_token(any_store)
    any_store.grants.add("k1", group="fleet")
    assert ask(any_store, token).fragment.reveal()
    any_store.devices.set_groups("d1", ["another"])
    refused(any_store, token)


def test_a_grant_holds_from_its_first_second_until_before_its_last(any_store: Store, clock: Hands) -> None:
    token = device_token(any_store)
    start = clock() + HOUR
    any_store.grants.add("k1", device_id="d1", not_before=start, not_after=start + HOUR)
    second = timedelta(seconds=1)
    for moment, is_released in (
        (start - second, False),
        (start, True),
        (start + HOUR - second, True),
        (start + HOUR, False),
    ):
        clock.time = moment
        if is_released:
            assert ask(any_store, token).fragment.reveal()
        else:
            refused(any_store, token)


def test_a_retired_key_is_released_and_a_destroyed_one_is_not_even_on_the_disk(any_store: Store) -> None:
    token = device_token(any_store)
    any_store.grants.add("k1", device_id="d1")
    any_store.keys.retire("k1")
    assert ask(any_store, token).fragment.reveal() == FRAGMENT
    any_store.keys.destroy("k1")
    refused(any_store, token)


def test_a_stolen_token_of_an_enrolled_device_gets_nothing_by_the_plain_way(any_store: Store) -> None:
    token = device_token(any_store, public_key=b"enrolled")
    any_store.grants.add("k1", device_id="d1")
    sealed_only(any_store, token)
    released = ask(any_store, token, sealed=True, nonce=NONCE)
    assert released.public_key == b"enrolled"
    any_store.keys.set_plain_release("k1", "allowed")
    assert ask(any_store, token).fragment.reveal()
    any_store.keys.set_plain_release("k1", "refused")
    sealed_only(any_store, token)
    assert ask(any_store, token, sealed=True).fragment.reveal()


def test_nothing_is_sealed_to_a_device_without_a_public_key(any_store: Store) -> None:
    token = device_token(any_store)
    any_store.grants.add("k1", device_id="d1")
    refused(any_store, token, sealed=True)
    refused(any_store, any_store.tokens.issue("k1", lifetime=HOUR).text, sealed=True)


def test_a_disabled_device_is_refused_at_its_next_request_and_works_again_when_enabled(
    any_store: Store,
) -> None:
    token = device_token(any_store)
    any_store.grants.add("k1", device_id="d1")
    any_store.devices.disable("d1")
    with pytest.raises(FragmentForbiddenError):
        ask(any_store, token)
    any_store.devices.enable("d1")
    assert ask(any_store, token).fragment.reveal()


def test_a_token_without_the_scope_reads_no_fragment(any_store: Store) -> None:
    any_store.devices.add("d1")
    any_store.grants.add("k1", device_id="d1")
    for scope in ("admin", "audit:read"):
        token = any_store.tokens.issue("k1", lifetime=HOUR, device_id="d1", scopes=[scope]).text
        refused(any_store, token)
        refused(any_store, any_store.tokens.issue("k1", lifetime=HOUR, scopes=[scope]).text)


def test_a_devices_token_that_names_a_key_still_needs_a_grant(any_store: Store) -> None:
    any_store.devices.add("d1")
    token = any_store.tokens.issue("k1", lifetime=HOUR, device_id="d1").text
    refused(any_store, token)
    any_store.keys.add("k2", Fragment(b"second"))
    any_store.grants.add("k1", device_id="d1")
    any_store.grants.add("k2", device_id="d1")
    assert ask(any_store, token, None).key_id == "k1"
    assert ask(any_store, token, "k2").key_id == "k2"


def test_with_several_keys_and_none_named_there_is_no_guess(any_store: Store) -> None:
    token = device_token(any_store)
    any_store.keys.add("k2", Fragment(b"second"))
    any_store.grants.add("k1", device_id="d1")
    any_store.grants.add("k2", group="fleet")
    refused(any_store, token, None)


@pytest.mark.fault(60)
def test_every_no_is_the_same_answer(any_store: Store) -> None:
    token = device_token(any_store)
    other = device_token(any_store, "other")
    any_store.keys.add("others", Fragment(b"other"))
    any_store.grants.add("others", device_id="other")
    assert ask(any_store, other, "others").fragment.reveal()
    asked = ("others", "unknown", "", "K1", "\x00", "k1\n", "x" * 3000, "ä", "\udcff", None)
    answers = {refused(any_store, token, key_id) for key_id in asked}
    assert len(answers) == 1


def test_a_nonce_is_16_to_64_bytes(any_store: Store) -> None:
    token = device_token(any_store)
    for nonce in (b"", bytes(15), bytes(65)):
        with pytest.raises(RecordError, match="nonce"):
            ask(any_store, token, nonce=nonce)


def test_a_batch_answers_each_by_its_own_right(any_store: Store) -> None:
    good = device_token(any_store)
    bad = device_token(any_store, "other")
    any_store.devices.set_groups("other", [])
    any_store.grants.add("k1", group="fleet")
    tokens = [good, bad, "bsk_unknown", good, ""] * 20
    futures: list[Future[Released]] = [
        any_store.submit_release(ReleaseRequest(token=token, key_id="k1")) for token in tokens
    ]
    kinds: dict[str, set[object]] = {}
    for token, future in zip(tokens, futures, strict=True):
        error = future.exception(timeout=20)
        assert error is None or isinstance(error, BinarySplitError)
        kinds.setdefault(token, set()).add(type(error))
    assert kinds == {
        good: {type(None)},
        bad: {FragmentNotFoundError},
        "bsk_unknown": {TokenRejectedError},
        "": {TokenRejectedError},
    }
    released = any_store.audit.page(kind="release", limit=1000).rows
    assert len(released) == 40
    assert {record.device_id for record in released} == {"d1"}


def test_the_decision_is_pure_and_knows_each_reason() -> None:
    bearer = Bearer("tok_x", frozenset({"fragment:read"}), device_id="d", has_public_key=True)
    key = KeyFacts("k", "active", "enrolled-refused")
    assert refuse_release(bearer, key, is_sealed=True) is None
    assert refuse_release(bearer, key, is_sealed=False) == "plain-refused"
    assert refuse_release(bearer, None, is_sealed=True) == "no-such-key"
    assert refuse_release(bearer, KeyFacts("k", "destroyed", "allowed"), is_sealed=True) == "destroyed"
    assert refuse_release(Bearer("tok_x", frozenset({"admin"})), key, is_sealed=False) == "scope"
    assert refuse_release(Bearer("t", frozenset({"fragment:read"})), key, is_sealed=True) == "no-device-key"
    assert meant_key(Bearer("t", frozenset()), None, 0) is None


def test_unlimited_grants_are_used_before_limited_ones() -> None:
    grants = [Grant("a", "k", uses_left=1), Grant("b", "k"), Grant("c", "k", uses_left=0), Grant("d", "x")]
    assert [grant.grant_id for grant in usable_grants(grants, "k", 0)] == ["b", "a"]


def test_a_token_opens_the_key_that_it_names_and_no_other() -> None:
    own = Bearer("t", frozenset(), token_key_id="k")
    assert holds_key(own, "k", 0)
    assert not holds_key(own, "x", 0)
    assert not holds_key(Bearer("t", frozenset()), "k", 0)


def test_a_devices_token_opens_what_is_granted_now_and_what_its_uses_were_spent_on() -> None:
    spent = Grant("g", "spent", uses_left=0)
    later = Grant("h", "later", not_before=10)
    bearer = Bearer("t", frozenset(), token_key_id="k", device_id="d", grants=[spent, later])
    held = {key_id for key_id in ("k", "spent", "later") if holds_key(bearer, key_id, 9)}
    assert held == {"spent"}
    assert holds_key(bearer, "later", 10)


def test_a_grant_that_is_over_leaves_no_doubt_which_key_is_meant() -> None:
    grants = [Grant("g", "old", not_after=10), Grant("h", "new")]
    bearer = Bearer("t", frozenset(), device_id="d", grants=grants)
    assert meant_key(bearer, None, 9) is None
    assert meant_key(bearer, None, 10) == "new"
