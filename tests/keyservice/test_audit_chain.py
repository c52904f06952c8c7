"""The audit: nothing leaves without its record, and a record that was touched is found and named."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from binary_split.errors import AuditBrokenError, FragmentNotFoundError, KeyStoreError, TokenRejectedError
from binary_split.keyservice.checkpoints import read_checkpoints
from binary_split.keyservice.failures import MOST_SOURCES
from binary_split.keyservice.releases import ReleaseRequest
from binary_split.keyservice.secrets_folder import SecretsFolder
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR, Hands
from tests.keyservice.places import Place

RECORDS = 10


@pytest.fixture
def filled(any_store: Store) -> Store:
    """A store with ten records: one key, one token, eight releases."""
    token = any_store.tokens.issue("k1", lifetime=HOUR).text
    for _ in range(RECORDS - 2):
        any_store.release(token)
    return any_store


def kinds(store: Store) -> list[str]:
    return [record.kind for record in store.audit.export()]


def test_every_act_and_every_release_has_one_record_and_the_chain_holds(any_store: Store) -> None:
    any_store.devices.add("d1")
    any_store.devices.set_groups("d1", ["g"])
    grant = any_store.grants.add("k1", device_id="d1", by="tok_admin")
    issued = any_store.tokens.issue(lifetime=HOUR, device_id="d1")
    any_store.release(issued.text)
    any_store.grants.revoke(grant.grant_id)
    any_store.grants.revoke(grant.grant_id)
    with pytest.raises(FragmentNotFoundError):
        any_store.release(issued.text)
    any_store.tokens.revoke(issued.record.token_id)
    any_store.devices.disable("d1")
    any_store.keys.destroy("k1")
    assert kinds(any_store) == [
        "key-create",
        "device-create",
        "device-groups",
        "grant-create",
        "token-issue",
        "release",
        "grant-revoke",
        "token-revoke",
        "device-disable",
        "key-destroy",
    ]
    assert any_store.audit.verify().seq == 10
    created = any_store.audit.page(kind="grant-create").rows[0]
    assert (created.actor, created.key_id, created.device_id) == ("tok_admin", "k1", "d1")
    assert json.loads(created.detail)["grant_id"] == grant.grant_id


def test_no_record_holds_a_token_or_a_fragment(filled: Store) -> None:
    text = filled.tokens.issue("k1", lifetime=HOUR).text
    filled.devices.add("d1")
    code = filled.enrolment.issue("d1", lifetime=HOUR).text
    shown = "".join(json.dumps(record.as_json()) for record in filled.audit.export())
    for secret in (text, text[4:], code, code[4:], FRAGMENT.hex()):
        assert secret not in shown


@pytest.mark.fault(54)
@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE audit SET actor = 'tok_other' WHERE seq = 5", 5),
        ("UPDATE audit SET at = at + 1 WHERE seq = 7", 7),
        ("UPDATE audit SET device_id = 'd' WHERE seq = 3", 3),
        ("UPDATE audit SET detail = '{}' WHERE seq = 4", 4),
        ("UPDATE audit SET mac = (SELECT mac FROM audit WHERE seq = 5) WHERE seq = 6", 6),
        ("DELETE FROM audit WHERE seq = 5", 5),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 10", 10),
        ("DELETE FROM audit", 0),
    ],
)
def test_a_record_that_is_edited_or_removed_is_named(
    filled: Store, place: Place, statement: str, seq: int
) -> None:
    assert filled.audit.verify().seq == RECORDS
    place.sql(statement)
    with pytest.raises(AuditBrokenError) as caught:
        filled.audit.verify()
    named = seq if seq != RECORDS else RECORDS - 1  # a cut tail: the chain ends before
    assert f"audit record {named}" in str(caught.value)


@pytest.mark.fault(54)
def test_two_records_that_change_places_are_named(filled: Store, place: Place) -> None:
    place.sql(
        "UPDATE audit SET seq = 1000 WHERE seq = 4",
        "UPDATE audit SET seq = 4 WHERE seq = 6",
        "UPDATE audit SET seq = 6 WHERE seq = 1000",
    )
    with pytest.raises(AuditBrokenError, match="audit record 4 "):
        filled.audit.verify()


@pytest.mark.fault(54)
def test_a_record_that_somebody_inserts_is_named(filled: Store, place: Place) -> None:
    place.sql(
        "INSERT INTO audit (seq, at, kind, actor, detail, mac)"
        " SELECT 11, at, kind, actor, detail, mac FROM audit WHERE seq = 10"
    )
    with pytest.raises(AuditBrokenError, match="audit record 11 "):
        filled.audit.verify()


@pytest.mark.fault(54)
def test_a_cut_tail_with_a_matching_head_is_exposed_by_the_checkpoint(filled: Store, place: Place) -> None:
    filled.ledger.checkpoint()
    place.sql(
        "DELETE FROM audit WHERE seq > 7",
        "UPDATE audit_head SET seq = 7, mac = (SELECT mac FROM audit WHERE seq = 7)",
    )
    with pytest.raises(AuditBrokenError, match="audit records 8 to 10 are missing"):
        filled.audit.verify()


def test_a_checkpoint_that_was_shipped_away_exposes_a_cut_of_tail_and_file(
    filled: Store, place: Place, tmp_path: Path
) -> None:
    filled.ledger.checkpoint()
    shipped = tmp_path / "shipped"
    file = place.folder / "audit-checkpoints"
    shipped.write_bytes(file.read_bytes())
    file.unlink()
    place.sql(
        "DELETE FROM audit WHERE seq > 7",
        "UPDATE audit_head SET seq = 7, mac = (SELECT mac FROM audit WHERE seq = 7)",
    )
    assert filled.audit.verify().seq == 7, "nothing here knows better"
    public_key = _public(place)
    with pytest.raises(AuditBrokenError, match="8 to 10"):
        filled.audit.verify(read_checkpoints(shipped, public_key))


def test_an_altered_checkpoint_is_refused_and_a_torn_one_is_passed_over(filled: Store, place: Place) -> None:
    filled.ledger.checkpoint()
    file = place.folder / "audit-checkpoints"
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"seq": 99')
    assert filled.audit.verify().seq == RECORDS
    filled.tokens.revoke(filled.tokens.page().rows[0].token_id)
    assert [line.seq for line in read_checkpoints(file, _public(place))][-1] == RECORDS + 1
    file.write_bytes(whole.replace(b'"seq":10', b'"seq":11'))
    with pytest.raises(AuditBrokenError, match="signature"):
        filled.audit.verify()


def _public(place: Place) -> Ed25519PublicKey:
    return SecretsFolder(place.folder, None).read_audit_keys().signing_key.public_key()


@pytest.mark.fault(53)
def test_without_its_record_no_fragment_leaves_and_no_use_is_spent(any_store: Store, place: Place) -> None:
    any_store.devices.add("d1")
    any_store.grants.add("k1", device_id="d1", uses=3)
    token = any_store.tokens.issue(lifetime=HOUR, device_id="d1").text
    place.sql("ALTER TABLE audit RENAME TO elsewhere")
    with pytest.raises(KeyStoreError):
        any_store.release(token)
    place.sql("ALTER TABLE elsewhere RENAME TO audit")
    assert any_store.grants.page().rows[0].uses_left == 3
    assert any_store.release(token).reveal() == FRAGMENT
    assert any_store.audit.verify().seq == len(kinds(any_store))


@pytest.mark.fault(53)
def test_an_act_that_cannot_be_recorded_is_not_done(any_store: Store, place: Place) -> None:
    place.sql("ALTER TABLE audit RENAME TO elsewhere")
    with pytest.raises(KeyStoreError):
        any_store.keys.add("k2", Fragment(b"x"))
    with pytest.raises(KeyStoreError):
        any_store.devices.add("d1")
    place.sql("ALTER TABLE elsewhere RENAME TO audit")
    assert [key.key_id for key in any_store.keys.page().rows] == ["k1"]
    assert any_store.devices.page().rows == ()


def test_concurrent_releases_share_commits_and_each_has_its_record(any_store: Store) -> None:
    token = any_store.tokens.issue("k1", lifetime=HOUR).text
    futures = [any_store.submit_release(ReleaseRequest(token=token)) for _ in range(500)]
    numbers = {future.result(timeout=30).seq for future in futures}
    assert numbers == {record.seq for record in any_store.audit.export() if record.kind == "release"}
    assert len(numbers) == 500
    any_store.audit.verify()


def test_failures_are_counted_per_source_and_minute_and_not_written_one_by_one(
    any_store: Store, clock: Hands
) -> None:
    for number in range(1000):
        request = ReleaseRequest(token="bsk_wrong", source=f"192.0.2.{number % 3}")
        with pytest.raises(TokenRejectedError):
            any_store.submit_release(request).result(timeout=20)
    any_store.failures.write()
    assert kinds(any_store) == ["key-create"]
    clock.time += timedelta(minutes=1)
    any_store.failures.write()
    found = [json.loads(record.detail) for record in any_store.audit.page(kind="failures").rows]
    assert [one["source"] for one in found] == ["192.0.2.0", "192.0.2.1", "192.0.2.2"]
    assert sum(one["reasons"]["unknown-token"] for one in found) == 1000
    any_store.failures.write(all_minutes=True)
    assert len(kinds(any_store)) == 4


def test_many_sources_do_not_make_many_records(any_store: Store, clock: Hands) -> None:
    for number in range(5000):
        any_store.failures.note(source=f"2001:db8::{number:x}", reason="unknown-token")
    clock.time += timedelta(minutes=1)
    any_store.failures.write()
    rows = any_store.audit.page(kind="failures", limit=1000).rows
    assert len(rows) == MOST_SOURCES + 1
    assert sum(json.loads(row.detail)["reasons"]["unknown-token"] for row in rows) == 5000


def test_counted_failures_survive_a_database_that_is_away(
    any_store: Store, place: Place, clock: Hands
) -> None:
    any_store.failures.note(source="192.0.2.1", reason="unknown-token")
    clock.time += timedelta(minutes=1)
    place.sql("ALTER TABLE audit RENAME TO elsewhere")
    with pytest.raises(KeyStoreError):
        any_store.failures.write()
    place.sql("ALTER TABLE elsewhere RENAME TO audit")
    any_store.failures.write()
    assert len(any_store.audit.page(kind="failures").rows) == 1


def test_the_trail_is_filtered_paged_followed_and_exported(filled: Store) -> None:
    newest = filled.audit.page(newest_first=True, limit=3)
    assert [record.seq for record in newest.rows] == [10, 9, 8]
    older = filled.audit.page(newest_first=True, limit=3, cursor=newest.next_cursor)
    assert [record.seq for record in older.rows] == [7, 6, 5]
    assert [record.seq for record in filled.audit.tail(4)] == [7, 8, 9, 10]
    assert [record.seq for record in filled.audit.export(after=2, before=5)] == [3, 4]
    assert len(filled.audit.page(key_id="k1").rows) == 10
    assert filled.audit.page(actor="nobody").rows == ()


def test_the_last_records_are_checkpointed_when_the_store_is_closed(filled: Store, place: Place) -> None:
    filled.close()
    assert [line.seq for line in read_checkpoints(place.folder / "audit-checkpoints", _public(place))] == [10]
