"""Online rotation of the key-encryption key: at every moment each fragment can be read.

The new key is on the disk before the database knows of it, each fragment says under which key it is
sealed, and
the old key is called retired only when no fragment is left under it. So a kill at any point leaves a store
that works, and the next call goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, insert, select, update

from binary_split.keyservice.chain import LOCAL, AuditEvent
from binary_split.keyservice.database import reading
from binary_split.keyservice.envelope import Envelope
from binary_split.keyservice.keyring import KekRow, KeyRing, read_kek_rows
from binary_split.keyservice.ledger import Ledger, Transaction
from binary_split.keyservice.schema import KEKS, KEYS

_BATCH = 100
_FIRST = "kek-"

MakeKek = Callable[[], bytes]
"""Makes a new key, puts it durably where the service finds it, and returns it."""


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What a rotation did.

    Attributes:
        active: the id of the key that seals now.
        retired: the ids of the keys that nothing needs any more, but backups made before.
        resealed: how many fragments were sealed anew.
        was_resumed: whether an earlier rotation was finished instead of a new one begun.
    """

    active: str
    retired: tuple[str, ...]
    resealed: int
    was_resumed: bool


def find_unused_kek(ledger: Ledger, keks: list[bytes]) -> bytes | None:
    """Return a key that was made for a rotation which has not begun: the database does not know it."""
    with reading(ledger.engine) as connection:
        rows = read_kek_rows(connection)
    for key in reversed(keks):
        envelope = Envelope(key)
        if not any(envelope.is_key_of(row.check_value) for row in rows):
            return key
    return None


def rotate_kek(
    ledger: Ledger, ring: KeyRing, keks: list[bytes], make: MakeKek, *, by: str = LOCAL
) -> RotationReport:
    """Seal every fragment under another key-encryption key, or finish an earlier call that was killed.

    Args:
        ledger: the database.
        ring: the keys of the store.
        keks: the keys that are there now; one that the database does not know is taken, and none is made.
        make: called where there is none.
        by: the actor in the audit.

    Raises:
        KeyEncryptionKeyError: a key that the store needs is missing.
        KeyStoreDamagedError: a fragment fails authentication; those before it are sealed anew.
    """
    with reading(ledger.engine) as connection:
        was_resumed = any(row.state == "retiring" for row in read_kek_rows(connection))
    if not was_resumed:
        _begin(ledger, find_unused_kek(ledger, keks) or make(), by)
    with reading(ledger.engine) as connection:
        ring.verify(connection)
    resealed = 0
    while count := _reseal_some(ledger, ring, by):
        resealed += count
    return _end(ledger, resealed, by, was_resumed=was_resumed)


def _begin(ledger: Ledger, key: bytes, by: str) -> None:
    with ledger.writing() as turn:
        rows = read_kek_rows(turn.connection)
        if any(row.state == "retiring" for row in rows):
            return  # another process was quicker: both go on with the same one
        kek_id = f"{_FIRST}{len(rows) + 1}"
        turn.connection.execute(update(KEKS).where(KEKS.c.state == "active").values(state="retiring"))
        turn.connection.execute(
            insert(KEKS).values(
                kek_id=kek_id, check_value=Envelope(key).seal_check(), state="active", created_at=turn.now
            )
        )
        turn.record(AuditEvent(kind="kek-rotate", actor=by, detail={"kek_id": kek_id}))


def _reseal_some(ledger: Ledger, ring: KeyRing, by: str) -> int:
    with ledger.writing() as turn:
        active = _active(read_kek_rows(turn.connection))
        query = select(KEYS.c.key_id, KEYS.c.kek_id, KEYS.c.sealed_fragment).where(KEYS.c.kek_id != active)
        rows = turn.connection.execute(query.order_by(KEYS.c.key_id).limit(_BATCH)).all()
        for row in rows:
            sealed = row.sealed_fragment
            if sealed:  # a destroyed one has nothing to seal
                fragment = ring.open(turn.connection, row.kek_id, row.key_id, sealed)
                sealed = ring.seal_under(turn.connection, active, row.key_id, fragment)
            turn.connection.execute(
                update(KEYS)
                .where(KEYS.c.key_id == row.key_id, KEYS.c.kek_id == row.kek_id)
                .values(kek_id=active, sealed_fragment=sealed)
            )
        if rows:
            turn.record(
                AuditEvent(kind="kek-reseal", actor=by, detail={"kek_id": active, "fragments": len(rows)})
            )
    return len(rows)


def _end(ledger: Ledger, resealed: int, by: str, *, was_resumed: bool) -> RotationReport:
    with ledger.writing() as turn:
        rows = read_kek_rows(turn.connection)
        for row in rows:
            if row.state == "retiring" and not _is_used(turn, row.kek_id):
                turn.connection.execute(
                    update(KEKS).where(KEKS.c.kek_id == row.kek_id).values(state="retired")
                )
                turn.record(AuditEvent(kind="kek-retire", actor=by, detail={"kek_id": row.kek_id}))
        rows = read_kek_rows(turn.connection)
    retired = tuple(row.kek_id for row in rows if row.state == "retired")
    return RotationReport(_active(rows), retired, resealed, was_resumed)


def _is_used(turn: Transaction, kek_id: str) -> bool:
    query = select(func.count()).select_from(KEYS).where(KEYS.c.kek_id == kek_id)
    return bool(turn.connection.scalar(query))


def _active(rows: list[KekRow]) -> str:
    return next(row.kek_id for row in rows if row.state == "active")
