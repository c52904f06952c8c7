"""What every repository of the store promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest

from binary_split.errors import (
    ConfigError,
    DeviceKeyNeededError,
    EnrolmentRefusedError,
    FragmentForbiddenError,
    FragmentNotFoundError,
    RecordError,
)
from binary_split.keyservice.paging import Page
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR, Hands

MANY = 25


def test_a_key_goes_from_active_to_retired_to_destroyed_and_never_back(any_store: Store) -> None:
    assert any_store.keys.find("k1").state == "active"
    retired = any_store.keys.retire("k1")
    assert retired.state == "retired"
    assert any_store.keys.retire("k1") == retired
    destroyed = any_store.keys.destroy("k1")
    assert destroyed.state == "destroyed"
    assert any_store.keys.destroy("k1") == destroyed
    with pytest.raises(RecordError, match="destroyed"):
        any_store.keys.retire("k1")
    with pytest.raises(RecordError, match="exists already"):
        any_store.keys.add("k1", Fragment(b"another"))


def test_rotating_a_key_retires_it_and_hands_its_grants_on_in_one_step(any_store: Store) -> None:
    any_store.devices.add("d1")
    any_store.grants.add("k1", device_id="d1", uses=3)
    any_store.grants.revoke(any_store.grants.add("k1", group="g1").grant_id)
    any_store.keys.set_plain_release("k1", "refused")
    new = any_store.keys.rotate("k1", "k2", Fragment(b"new"))
    assert new.plain_release == "refused"
    assert any_store.keys.find("k1").state == "retired"
    grants = any_store.grants.page(key_id="k2").rows
    assert [(grant.device_id, grant.uses_left) for grant in grants] == [("d1", 3)]
    with pytest.raises(RecordError, match="exists already"):
        any_store.keys.rotate("k1", "k2", Fragment(b"new"))


@pytest.mark.parametrize("policy", ["", "Allowed", "x" * 100])
def test_an_unknown_policy_is_refused(any_store: Store, policy: str) -> None:
    with pytest.raises(RecordError, match="not a policy"):
        any_store.keys.set_plain_release("k1", policy)  # type: ignore[arg-type]


def test_a_device_keeps_what_it_was_given(any_store: Store, clock: Hands) -> None:
    made = any_store.devices.add("d1", label="Halle B", groups=["g2", "g1", "g2"], public_key=b"\x00\xff")
    assert (made.groups, made.public_key, made.state) == (("g1", "g2"), b"\x00\xff", "active")
    assert any_store.devices.find("d1") == made
    assert any_store.devices.set_groups("d1", ["g3"]).groups == ("g3",)
    clock.time += HOUR
    disabled = any_store.devices.disable("d1")
    assert (disabled.state, disabled.disabled) == ("disabled", clock.time)
    clock.time += HOUR
    assert any_store.devices.disable("d1") == disabled
    assert any_store.devices.enable("d1").disabled is None


def test_a_device_with_a_bad_name_label_group_or_public_key_is_refused(any_store: Store) -> None:
    for bad in ("", "A", "a b", "a\x00", "x" * 65):
        with pytest.raises(RecordError):
            any_store.devices.add(bad)
        with pytest.raises(RecordError):
            any_store.devices.add("d", groups=[bad])
        with pytest.raises(RecordError):
            any_store.devices.find(bad)
    for key in (b"", bytes(4097)):
        with pytest.raises(RecordError, match="public key"):
            any_store.devices.add("d", public_key=key)
    with pytest.raises(ConfigError):
        any_store.devices.add("d", label="two\nlines")
    with pytest.raises(RecordError, match="exists already"):
        any_store.devices.add(any_store.devices.add("d").device_id)
    assert [device.device_id for device in any_store.devices.page().rows] == ["d"]


def test_a_grant_is_for_one_receiver_and_for_some_time(any_store: Store, clock: Hands) -> None:
    any_store.devices.add("d1")
    now = clock()
    for wrong in (
        {},
        {"device_id": "d1", "group": "g1"},
        {"device_id": "unknown"},
        {"group": "G"},
        {"group": "g1", "uses": 0},
        {"group": "g1", "uses": 10**10},
        {"group": "g1", "not_before": now, "not_after": now},
    ):
        with pytest.raises(RecordError):
            any_store.grants.add("k1", **wrong)
    with pytest.raises(RecordError, match="there is no key"):
        any_store.grants.add("unknown", group="g1")
    assert any_store.grants.page().rows == ()
    made = any_store.grants.add("k1", group="g1", not_before=now, not_after=now + HOUR, uses=2)
    assert (made.group, made.not_before, made.not_after, made.uses_left) == ("g1", now, now + HOUR, 2)
    assert any_store.grants.find(made.grant_id) == made
    revoked = any_store.grants.revoke(made.grant_id)
    clock.time += HOUR
    assert any_store.grants.revoke(made.grant_id) == revoked


def test_a_token_has_scopes_and_speaks_for_a_key_or_a_device(any_store: Store) -> None:
    any_store.devices.add("d1")
    admin = any_store.tokens.issue(lifetime=HOUR, scopes=["admin", "audit:read"]).record
    assert admin.scopes == {"admin", "audit:read"}
    device = any_store.tokens.issue(lifetime=HOUR, device_id="d1").record
    assert (device.device_id, device.key_id, set(device.scopes)) == ("d1", None, {"fragment:read"})
    assert any_store.tokens.find_id(device.token_id) == device
    for scopes in ([], ["root"], ["admin", "x"]):
        with pytest.raises(RecordError):
            any_store.tokens.issue("k1", lifetime=HOUR, scopes=scopes)
    with pytest.raises(RecordError, match="for a key or a device"):
        any_store.tokens.issue(lifetime=HOUR)
    with pytest.raises(RecordError, match="there is no key"):
        any_store.tokens.issue("k\x00", lifetime=HOUR)


def test_an_enrolment_code_works_once_and_revokes_the_tokens_before(any_store: Store) -> None:
    any_store.devices.add("d1")
    old = any_store.tokens.issue(lifetime=HOUR, device_id="d1")
    code = any_store.enrolment.issue("d1", lifetime=HOUR)
    assert code.text not in repr(code)
    device, issued = any_store.enrolment.redeem(code.text, b"public", token_lifetime=HOUR)
    assert (device.device_id, device.public_key) == ("d1", b"public")
    assert issued.record.device_id == "d1"
    with pytest.raises(FragmentForbiddenError):
        any_store.release(old.text)
    with pytest.raises(EnrolmentRefusedError):
        any_store.enrolment.redeem(code.text, b"another", token_lifetime=HOUR)
    assert any_store.devices.find("d1").public_key == b"public"
    assert any_store.enrolment.page(device_id="d1").rows[0].used is not None


def test_the_same_code_with_the_same_public_key_is_the_same_enrolment(any_store: Store) -> None:
    any_store.devices.add("d1")
    any_store.grants.add("k1", device_id="d1")
    code = any_store.enrolment.issue("d1", lifetime=HOUR).text
    _, lost = any_store.enrolment.redeem(code, b"public", token_lifetime=HOUR)
    device, again = any_store.enrolment.redeem(code, b"public", token_lifetime=HOUR)
    assert device.public_key == b"public"
    with pytest.raises(FragmentForbiddenError):
        any_store.release(lost.text)
    any_store.tokens.revoke(again.record.token_id)
    with pytest.raises(EnrolmentRefusedError):  # the right was taken away: the code does not give it back
        any_store.enrolment.redeem(code, b"public", token_lifetime=HOUR)
    assert len(any_store.audit.page(kind="device-enrol").rows) == 2


def test_who_may_have_a_key_sealed_only_is_told_so_and_nobody_else(any_store: Store) -> None:
    any_store.keys.add("k2", Fragment(b"another"))
    any_store.devices.add("d1", public_key=b"public")
    any_store.grants.add("k1", device_id="d1")
    token = any_store.tokens.issue(device_id="d1", lifetime=HOUR).text
    with pytest.raises(DeviceKeyNeededError):
        any_store.release(token, key_id="k1")
    for key_id in ("k2", "unknown"):
        with pytest.raises(FragmentNotFoundError):
            any_store.release(token, key_id=key_id)
    any_store.keys.set_plain_release("k1", "allowed")
    assert any_store.release(token, key_id="k1").reveal() == FRAGMENT


def test_a_code_that_is_unknown_late_revoked_or_for_a_disabled_device_is_refused_alike(
    any_store: Store, clock: Hands
) -> None:
    any_store.devices.add("d1")
    late, revoked, disabled = (any_store.enrolment.issue("d1", lifetime=HOUR) for _ in range(3))
    any_store.enrolment.revoke(revoked.record.code_id)
    messages = set()

    def refuse(code: str) -> None:
        with pytest.raises(EnrolmentRefusedError) as caught:
            any_store.enrolment.redeem(code, None, token_lifetime=HOUR)
        messages.add(str(caught.value))

    refuse(revoked.text)
    refuse("bse_unknown")
    refuse("\udcff\x00")
    any_store.devices.disable("d1")
    refuse(disabled.text)
    with pytest.raises(RecordError, match="disabled"):
        any_store.enrolment.issue("d1", lifetime=HOUR)
    any_store.devices.enable("d1")
    clock.time += HOUR
    refuse(late.text)
    assert len(messages) == 1


def test_a_session_ends_with_its_time_or_when_it_is_ended(any_store: Store, clock: Hands) -> None:
    token = any_store.tokens.issue(lifetime=2 * HOUR, scopes=["admin"]).record
    first = any_store.sessions.begin(token.token_id, lifetime=HOUR)
    second = any_store.sessions.begin(token.token_id, lifetime=HOUR)
    assert any_store.sessions.find(first) == token
    any_store.sessions.end(first)
    assert any_store.sessions.find(first) is None
    any_store.tokens.revoke(token.token_id)
    assert any_store.sessions.find(second) == any_store.tokens.find_id(token.token_id)
    clock.time += HOUR
    assert any_store.sessions.find(second) is None


def test_pages_give_every_row_once_while_others_come_and_go(any_store: Store, clock: Hands) -> None:
    for number in range(MANY):
        any_store.devices.add(f"d{number:02}", groups=["even"] if number % 2 == 0 else [])
        any_store.tokens.issue("k1", lifetime=HOUR)
        clock.time += timedelta(seconds=number % 2)
    seen: list[str] = []
    cursor = None
    while True:
        page: Page[object] = any_store.devices.page(cursor=cursor, limit=4, group="even")  # type: ignore[assignment]
        seen += [device.device_id for device in page.rows]  # type: ignore[attr-defined]
        any_store.devices.add(
            f"a{len(seen)}", groups=["even"]
        )  # sorts before: no page repeats or drops a row
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"d{number:02}" for number in range(0, MANY, 2)]
    tokens = any_store.tokens.page().rows
    assert len({token.token_id for token in tokens}) == MANY
    assert [token.created for token in tokens] == sorted(token.created for token in tokens)


def test_the_keys_that_are_granted_to_a_device_are_those_that_it_may_have_still(any_store: Store) -> None:
    any_store.devices.add("d1")
    any_store.devices.add("d2")
    for key_id, device_id in (("k2", "d1"), ("k3", "d1"), ("k4", "d2")):
        any_store.keys.add(key_id, Fragment(FRAGMENT))
        grant = any_store.grants.add(key_id, device_id=device_id)
        if key_id == "k3":
            any_store.grants.revoke(grant.grant_id)
    assert [key.key_id for key in any_store.keys.page(granted_to="d1").rows] == ["k2"]


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "W10", "WzFd", "WyJcdTAwMDAiXQ", "WyJcdWQ4MDAiXQ", "ä", "A" * 600, "eyJhIjoxfQ"],
)
def test_a_made_up_cursor_is_refused(any_store: Store, cursor: str) -> None:
    with pytest.raises(RecordError, match="not a cursor"):
        any_store.devices.page(cursor=cursor)
    with pytest.raises(RecordError, match="1 to 1000"):
        any_store.devices.page(limit=0)


def test_a_fragment_comes_back_byte_exact_after_everything(any_store: Store) -> None:
    content = bytes(range(256)) * 256
    any_store.keys.add("big", Fragment(content))
    assert any_store.release(any_store.tokens.issue("big", lifetime=HOUR).text).reveal() == content
    assert any_store.release(any_store.tokens.issue("k1", lifetime=HOUR).text).reveal() == FRAGMENT
