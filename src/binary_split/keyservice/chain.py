"""The audit chain: each record is authenticated together with the one before it.

``mac[n] = HMAC-SHA256(key, mac[n-1] || the record's canonical JSON)``, and ``mac[0]`` is 32 zero bytes.
The key lives outside the database, so whoever can write there can still not write a record.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from binary_split.errors import AuditBrokenError
from binary_split.keyservice.clock import to_seconds

FIRST_MAC = bytes(32)
LOCAL = "local"
"""The actor of a command that was run beside the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """What happened, before it has a place in the chain.

    Attributes:
        kind: a verb of the list in docs/key-service.md, such as ``release`` or ``token-revoke``.
        actor: the public id of the token that did it, ``local``, or ``service``.
        key_id: the key that it was about.
        device_id: the device that it was about.
        detail: more, as JSON; never a secret.
    """

    kind: str
    actor: str
    key_id: str | None = None
    device_id: str | None = None
    detail: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One link of the chain; ``detail`` is its JSON text, byte for byte as it was authenticated."""

    seq: int
    at: datetime
    kind: str
    actor: str
    key_id: str | None
    device_id: str | None
    detail: str
    mac: bytes

    def as_json(self) -> dict[str, Any]:
        """Return it as an export prints it."""
        return {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "kind": self.kind,
            "actor": self.actor,
            "key_id": self.key_id,
            "device_id": self.device_id,
            "detail": json.loads(self.detail),
            "mac": self.mac.hex(),
        }


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where a chain ends: the last record's number and mac."""

    seq: int = 0
    mac: bytes = FIRST_MAC


class AuditChain:
    """Links records under one key, which no repr shows."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def link(self, head: ChainHead, event: AuditEvent, at: int) -> dict[str, Any]:
        """Return the row of the record that follows ``head``; ``at`` in seconds since 1970."""
        detail = json.dumps(event.detail or {}, sort_keys=True, separators=(",", ":"))
        row = {
            "seq": head.seq + 1,
            "at": at,
            "kind": event.kind,
            "actor": event.actor,
            "key_id": event.key_id,
            "device_id": event.device_id,
            "detail": detail,
        }
        return row | {"mac": self._mac(head.mac, list(row.values()))}

    def verify(self, records: Iterable[AuditRecord], head: ChainHead | None = None) -> Iterator[ChainHead]:
        """Follow a chain from ``head`` and yield each place in it that is sound.

        Raises:
            AuditBrokenError: a record is missing, or was altered, added or moved; the error names the first.
        """
        head = head or ChainHead()
        for record in records:
            if record.seq != head.seq + 1:
                raise AuditBrokenError(f"audit record {head.seq + 1} is missing; the next is {record.seq}")
            fields = [
                record.seq,
                to_seconds(record.at),
                record.kind,
                record.actor,
                record.key_id,
                record.device_id,
                record.detail,
            ]
            if not hmac.compare_digest(self._mac(head.mac, fields), record.mac):
                raise AuditBrokenError(f"audit record {record.seq} was altered, or is not in its place")
            head = ChainHead(record.seq, record.mac)
            yield head

    def _mac(self, before: bytes, fields: list[Any]) -> bytes:
        text = json.dumps(fields, separators=(",", ":"), ensure_ascii=True)
        return hmac.digest(self._key, before + text.encode(), "sha256")
