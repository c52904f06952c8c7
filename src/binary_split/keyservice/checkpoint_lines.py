"""Signed checkpoints of the audit chain, in a file outside the database: one line of JSON each.

Every line says how far the chain had come: who cuts the chain's tail, or restores an older database, is found
out. Lines of the kinds in ``REPLAYED`` also say what took a right away, so that it can be done again after a
restore. The signatures are Ed25519: whoever gets a copy of the file can check it without any secret.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from binary_split.errors import AuditBrokenError

REPLAYED = (
    "token-revoke",
    "grant-revoke",
    "device-disable",
    "device-enable",
    "device-enrol",
    "device-groups",
    "code-revoke",
    "key-policy",
    "key-retire",
    "key-destroy",
)
"""The kinds of records that a restored database must not forget."""

LINE_BYTES = 16 * 1024
"""No line is longer."""

_PURPOSE = b"binary-split/v1 audit checkpoint\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One line: the chain's place, and what happened there.

    Attributes:
        seq: number of the record.
        mac: its mac.
        at: when the line was written, in seconds since 1970.
        kind: ``checkpoint``, ``restored`` (from here on the database continues an older one) or a record's
            own kind, of those in ``REPLAYED``.
        key_id: as in the record.
        device_id: as in the record.
        detail: as in the record.
    """

    seq: int
    mac: bytes
    at: int
    kind: str = "checkpoint"
    key_id: str | None = None
    device_id: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def serialise_checkpoint(line: Checkpoint, signing_key: Ed25519PrivateKey) -> bytes:
    """Return the line, signed, with its end."""
    document = {
        "seq": line.seq,
        "mac": line.mac.hex(),
        "at": line.at,
        "kind": line.kind,
        "key_id": line.key_id,
        "device_id": line.device_id,
        "detail": line.detail,
    }
    signature = signing_key.sign(_PURPOSE + _canonical(document))
    return _canonical(document | {"signature": signature.hex()}) + b"\n"


def parse_checkpoint(line: bytes, public_key: Ed25519PublicKey) -> Checkpoint:
    """Parse a line without its end, and verify it.

    Raises:
        AuditBrokenError: it is not what the owner of ``public_key`` signed.
    """
    try:
        document = json.loads(line)
        signature = bytes.fromhex(document.pop("signature"))
        public_key.verify(signature, _PURPOSE + _canonical(document))
        document["mac"] = bytes.fromhex(document["mac"])
        return Checkpoint(**document)
    except (ValueError, TypeError, KeyError, AttributeError, InvalidSignature, RecursionError):
        raise AuditBrokenError("a checkpoint's signature does not hold") from None


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
