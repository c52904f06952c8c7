"""Release of a fragment to a device that has no network: by an administrator, who carries it there sealed."""

from __future__ import annotations

from collections.abc import Mapping

from binary_split.errors import RecordConflictError, RecordError, RecordMissingError
from binary_split.keyservice.chain import LOCAL, AuditEvent
from binary_split.keyservice.decision import FRAGMENT_READ, Bearer, Refusal, holds_key, refuse_release
from binary_split.keyservice.devices import find_device
from binary_split.keyservice.keyring import KeyRing
from binary_split.keyservice.ledger import Ledger
from binary_split.keyservice.names import parse_name
from binary_split.keyservice.release_reads import BatchFacts, read_grants, read_keys
from binary_split.keyservice.release_spending import RefusedError, Spending
from binary_split.keyservice.releases import Released

_WORDS: Mapping[Refusal, str] = {
    "no-such-key": "there is no such key",
    "destroyed": "the key is destroyed",
    "no-device-key": "the device has enrolled no public key",
    "no-grant": "no grant gives it now",
    "used-up": "every use is spent",
}


class OfflineRelease:
    """Releases by hand what the device could have fetched itself; it costs a use as well."""

    def __init__(self, ledger: Ledger, ring: KeyRing) -> None:
        self._ledger = ledger
        self._ring = ring

    def release(self, device_id: str, key_id: str, *, by: str = LOCAL) -> Released:
        """Return a fragment that is to be sealed to the device's public key; its ``token_id`` is the actor.

        Raises:
            RecordError: there is no such device or key, the device is disabled or has no public key, the
                key is destroyed, or no grant gives it: here the reason is told.
            KeyStoreDamagedError: the stored fragment fails authentication.
        """
        parse_name(key_id, what="key-id")
        with self._ledger.writing() as turn:
            device = find_device(turn.connection, device_id)
            if device.state != "active":
                raise RecordConflictError(f"device {device_id!r} is disabled")
            grants = read_grants(turn.connection, [device_id]).get(device_id, [])
            key = read_keys(turn.connection, {key_id}).get(key_id)
            bearer = Bearer(
                token_id=by,
                scopes=frozenset({FRAGMENT_READ}),
                device_id=device_id,
                has_public_key=device.public_key is not None,
                grants=grants,
            )
            reason = refuse_release(bearer, None if key is None else key.facts, is_sealed=True)
            if reason is not None or key is None:
                raise _told(device_id, key_id, reason or "no-such-key")
            if not holds_key(bearer, key_id, turn.now):
                raise _told(device_id, key_id, "no-grant")
            fragment = self._ring.open(turn.connection, key.kek_id, key_id, key.sealed)
            try:
                Spending(turn, BatchFacts({}, {}, {})).spend(bearer, key_id, None)
            except RefusedError as refused:
                raise _told(device_id, key_id, refused.reason) from None
            seq = turn.record(
                AuditEvent(kind="release-offline", actor=by, key_id=key_id, device_id=device_id)
            )
        return Released(fragment, key_id, by, device_id, device.public_key, is_repeat=False, seq=seq)


def _told(device_id: str, key_id: str, reason: Refusal) -> RecordError:
    kind = RecordMissingError if reason == "no-such-key" else RecordConflictError
    return kind(
        f"key {key_id!r} is not released to device {device_id!r}: {_WORDS.get(reason, reason)}",
        hint="Look at the key, and at the device's enrolment and grants.",
    )
