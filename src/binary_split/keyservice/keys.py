"""The stored keys: fragments by key-id, each sealed for its own row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from binary_split.errors import RecordConflictError, RecordError, RecordMissingError
from binary_split.keyservice.chain import LOCAL, AuditEvent
from binary_split.keyservice.clock import from_seconds, optional_time
from binary_split.keyservice.database import reading
from binary_split.keyservice.decision import KeyState, PlainRelease
from binary_split.keyservice.grants import copy_grants
from binary_split.keyservice.keyring import KeyRing
from binary_split.keyservice.ledger import Ledger, Transaction
from binary_split.keyservice.names import parse_name
from binary_split.keyservice.paging import DEFAULT_PAGE, Page, fetch_page
from binary_split.keyservice.schema import GRANTS, KEYS
from binary_split.model import Fragment

FRAGMENT_BYTES = 32
"""How long a fragment is that is made here; an imported one has the length that it has."""

PLAIN_RELEASES: tuple[PlainRelease, ...] = ("allowed", "enrolled-refused", "refused")

Deliver = Callable[[bytes], None]
"""Hands a secret over before it is committed; if that raises, nothing is stored."""

_PUBLIC = [column for column in KEYS.c if column.name != "sealed_fragment"]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What may be told of a key: never its fragment.

    Attributes:
        key_id: names one fragment for ever.
        created: when.
        state: ``active``, ``retired`` (no new seals, still released) or ``destroyed`` (its fragment is gone).
        plain_release: who gets the fragment by the plain GET: everybody entitled (``allowed``), those whose
            device has no public key (``enrolled-refused``), nobody (``refused``).
        retired: when it was retired.
        destroyed: when it was destroyed.
    """

    key_id: str
    created: datetime
    state: KeyState = "active"
    plain_release: PlainRelease = "enrolled-refused"
    retired: datetime | None = None
    destroyed: datetime | None = None


class KeyRepository:
    """Adds, changes and lists keys. Every method may raise what ``reading`` and ``writing`` raise.

    Each change is one transaction with its audit record; ``by`` is the actor in it.
    """

    def __init__(self, ledger: Ledger, ring: KeyRing) -> None:
        self._ledger = ledger
        self._ring = ring

    def add(
        self,
        key_id: str,
        fragment: Fragment,
        *,
        plain_release: PlainRelease = "enrolled-refused",
        deliver: Deliver | None = None,
        by: str = LOCAL,
    ) -> KeyRecord:
        """Store a fragment under a new key-id, which names it for ever.

        Raises:
            RecordError: the key-id is malformed, or exists already.
        """
        parse_name(key_id, what="key-id")
        with self._ledger.writing() as turn:
            self._insert(turn, key_id, fragment, plain_release)
            turn.record(AuditEvent(kind="key-create", actor=by, key_id=key_id))
            if deliver is not None:
                deliver(fragment.reveal())
            return _find(turn.connection, key_id)

    def rotate(
        self,
        old_key_id: str,
        new_key_id: str,
        fragment: Fragment,
        *,
        deliver: Deliver | None = None,
        by: str = LOCAL,
    ) -> KeyRecord:
        """Store a new key with the grants of an old one, which is retired: all in one transaction.

        Grants keep their receivers, times and remaining uses under new ids; the old ones stay as they are.

        Raises:
            RecordError: there is no such old key, it is destroyed, or the new key-id is malformed or taken.
        """
        parse_name(new_key_id, what="key-id")
        with self._ledger.writing() as turn:
            old = _find(turn.connection, old_key_id)
            if old.state == "destroyed":
                raise RecordConflictError(f"key {old_key_id!r} is destroyed")
            self._insert(turn, new_key_id, fragment, old.plain_release)
            copied = copy_grants(turn, old_key_id, new_key_id)
            turn.record(
                AuditEvent(
                    kind="key-create",
                    actor=by,
                    key_id=new_key_id,
                    detail={"rotates": old_key_id, "grants": copied},
                )
            )
            _retire(turn, old, by)
            if deliver is not None:
                deliver(fragment.reveal())
            return _find(turn.connection, new_key_id)

    def retire(self, key_id: str, *, by: str = LOCAL) -> KeyRecord:
        """Retire a key: devices that may have it still get it. Doing it again changes nothing.

        Raises:
            RecordError: there is no such key, or it is destroyed.
        """
        with self._ledger.writing() as turn:
            old = _find(turn.connection, key_id)
            if old.state == "destroyed":
                raise RecordConflictError(f"key {key_id!r} is destroyed")
            _retire(turn, old, by)
            return _find(turn.connection, key_id)

    def destroy(self, key_id: str, *, by: str = LOCAL) -> KeyRecord:
        """Erase a key's fragment for ever. Doing it again changes nothing.

        Raises:
            RecordError: there is no such key.
        """
        with self._ledger.writing() as turn:
            if _find(turn.connection, key_id).state != "destroyed":
                erase_fragment(turn.connection, key_id, turn.now)
                turn.record(AuditEvent(kind="key-destroy", actor=by, key_id=key_id))
            return _find(turn.connection, key_id)

    def set_plain_release(self, key_id: str, policy: PlainRelease, *, by: str = LOCAL) -> KeyRecord:
        """Say who gets the fragment by the plain GET.

        Raises:
            RecordError: there is no such key, or no such policy.
        """
        if policy not in PLAIN_RELEASES:
            raise RecordError(
                f"not a policy: {policy[:50]!r}", hint=f"It is one of {', '.join(PLAIN_RELEASES)}."
            )
        with self._ledger.writing() as turn:
            _find(turn.connection, key_id)
            write_plain_release(turn.connection, key_id, policy)
            turn.record(
                AuditEvent(kind="key-policy", actor=by, key_id=key_id, detail={"plain_release": policy})
            )
            return _find(turn.connection, key_id)

    def find(self, key_id: str) -> KeyRecord:
        """Return one key.

        Raises:
            RecordError: there is no such key.
        """
        with reading(self._ledger.engine) as connection:
            return _find(connection, key_id)

    def page(
        self,
        *,
        cursor: str | None = None,
        limit: int = DEFAULT_PAGE,
        state: KeyState | None = None,
        granted_to: str | None = None,
    ) -> Page[KeyRecord]:
        """Return keys by name, those in a state or with an unrevoked grant to a device if asked for.

        Raises:
            RecordError: the cursor or the limit is none.
        """
        query = select(*_PUBLIC)
        if state is not None:
            query = query.where(KEYS.c.state == state)
        if granted_to is not None:
            granted = select(GRANTS.c.key_id).where(
                GRANTS.c.device_id == granted_to, GRANTS.c.revoked_at.is_(None)
            )
            query = query.where(KEYS.c.key_id.in_(granted))
        with reading(self._ledger.engine) as connection:
            return fetch_page(connection, query, (KEYS.c.key_id,), _record, cursor=cursor, limit=limit)

    def _insert(self, turn: Transaction, key_id: str, fragment: Fragment, plain: PlainRelease) -> None:
        kek_id, sealed = self._ring.seal(turn.connection, key_id, fragment)
        row = {"key_id": key_id, "sealed_fragment": sealed, "kek_id": kek_id, "plain_release": plain}
        try:
            turn.connection.execute(insert(KEYS).values(**row, created_at=turn.now))
        except IntegrityError:
            raise RecordConflictError(
                f"key {key_id!r} exists already",
                hint="A key-id names one fragment for ever: to rotate, make a new key-id.",
            ) from None


def erase_fragment(connection: Connection, key_id: str, now: int) -> None:
    """Overwrite a key's fragment with nothing."""
    connection.execute(
        update(KEYS)
        .where(KEYS.c.key_id == key_id)
        .values(state="destroyed", destroyed_at=now, sealed_fragment=b"")
    )


def write_plain_release(connection: Connection, key_id: str, policy: PlainRelease) -> None:
    """Set a key's policy for the plain GET."""
    connection.execute(update(KEYS).where(KEYS.c.key_id == key_id).values(plain_release=policy))


def mark_key_retired(connection: Connection, key_id: str, now: int) -> None:
    """Retire a key that is active."""
    connection.execute(
        update(KEYS)
        .where(KEYS.c.key_id == key_id, KEYS.c.state == "active")
        .values(state="retired", retired_at=now)
    )


def _retire(turn: Transaction, key: KeyRecord, by: str) -> None:
    if key.state == "active":
        mark_key_retired(turn.connection, key.key_id, turn.now)
        turn.record(AuditEvent(kind="key-retire", actor=by, key_id=key.key_id))


def _find(connection: Connection, key_id: str) -> KeyRecord:
    parse_name(key_id, what="key-id")
    row = connection.execute(select(*_PUBLIC).where(KEYS.c.key_id == key_id)).mappings().first()
    if row is None:
        raise RecordMissingError(f"there is no key {key_id!r}")
    return _record(row)


def _record(row: Mapping[str, Any] | RowMapping) -> KeyRecord:
    return KeyRecord(
        key_id=row["key_id"],
        created=from_seconds(row["created_at"]),
        state=cast("KeyState", row["state"]),
        plain_release=cast("PlainRelease", row["plain_release"]),
        retired=optional_time(row["retired_at"]),
        destroyed=optional_time(row["destroyed_at"]),
    )
