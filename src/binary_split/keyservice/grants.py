"""The grants: which device or group may have which key, from when until when, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from binary_split.errors import RecordConflictError, RecordError, RecordMissingError
from binary_split.keyservice.chain import LOCAL, AuditEvent
from binary_split.keyservice.clock import from_seconds, optional_time, to_seconds
from binary_split.keyservice.database import reading
from binary_split.keyservice.devices import find_device
from binary_split.keyservice.ledger import Ledger, Transaction
from binary_split.keyservice.names import generate_id, is_id, parse_name
from binary_split.keyservice.paging import DEFAULT_PAGE, Page, fetch_page
from binary_split.keyservice.schema import GRANTS, KEYS

GRANT_ID_PREFIX = "grt_"
_MOST_USES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """One right; either ``device_id`` or ``group`` is set.

    Attributes:
        grant_id: ``grt_…``.
        key_id: the key.
        device_id: the device that may have it.
        group: the group whose devices may have it.
        not_before: from when on, None from ever.
        not_after: until before when, None for ever.
        uses_left: how many releases are left, over all devices of a group; None for any number.
        created: when.
        revoked: when it was revoked.
    """

    grant_id: str
    key_id: str
    device_id: str | None
    group: str | None
    not_before: datetime | None
    not_after: datetime | None
    uses_left: int | None
    created: datetime
    revoked: datetime | None


class GrantRepository:
    """Makes, revokes and lists grants. Every method may raise what ``reading`` and ``writing`` raise."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(
        self,
        key_id: str,
        *,
        device_id: str | None = None,
        group: str | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        uses: int | None = None,
        by: str = LOCAL,
    ) -> GrantRecord:
        """Let a device, or every device of a group, have a key.

        Raises:
            RecordError: there is no such key or device, both or neither receiver is given, the times are
                the wrong way round, or the number of uses is none.
        """
        row = _receiver(device_id, group) | _bounds(not_before, not_after, uses)
        row |= {"grant_id": generate_id(GRANT_ID_PREFIX), "key_id": parse_name(key_id, what="key-id")}
        with self._ledger.writing() as turn:
            state = turn.connection.scalar(select(KEYS.c.state).where(KEYS.c.key_id == key_id))
            if state is None:
                raise RecordMissingError(f"there is no key {key_id!r}")
            if state == "destroyed":
                raise RecordConflictError(f"key {key_id!r} is destroyed")
            if device_id is not None:
                find_device(turn.connection, device_id)
            turn.connection.execute(insert(GRANTS).values(**row, created_at=turn.now))
            turn.record(
                AuditEvent(
                    kind="grant-create",
                    actor=by,
                    key_id=key_id,
                    device_id=device_id,
                    detail={name: row[name] for name in _DETAILS if row[name] is not None},
                )
            )
            return _find(turn.connection, str(row["grant_id"]))

    def revoke(self, grant_id: str, *, by: str = LOCAL) -> GrantRecord:
        """Take a right away from the next request on. Doing it again changes nothing, not even the time.

        Raises:
            RecordError: there is no such grant.
        """
        with self._ledger.writing() as turn:
            old = _find(turn.connection, grant_id)
            if old.revoked is None:
                mark_grant_revoked(turn.connection, grant_id, turn.now)
                turn.record(
                    AuditEvent(
                        kind="grant-revoke",
                        actor=by,
                        key_id=old.key_id,
                        device_id=old.device_id,
                        detail={"grant_id": grant_id},
                    )
                )
            return _find(turn.connection, grant_id)

    def find(self, grant_id: str) -> GrantRecord:
        """Return one grant.

        Raises:
            RecordError: there is no such grant.
        """
        with reading(self._ledger.engine) as connection:
            return _find(connection, grant_id)

    def page(
        self,
        *,
        cursor: str | None = None,
        limit: int = DEFAULT_PAGE,
        key_id: str | None = None,
        device_id: str | None = None,
        group: str | None = None,
        is_revoked: bool | None = None,
    ) -> Page[GrantRecord]:
        """Return grants, oldest first, that match every filter given.

        ``device_id`` finds the device's own, not those of its groups.

        Raises:
            RecordError: the cursor or the limit is none.
        """
        query = select(GRANTS)
        filters = ((GRANTS.c.key_id, key_id), (GRANTS.c.device_id, device_id), (GRANTS.c.group_name, group))
        for column, wanted in filters:
            if wanted is not None:
                query = query.where(column == wanted)
        if is_revoked is not None:
            revoked = GRANTS.c.revoked_at
            query = query.where(revoked.is_not(None) if is_revoked else revoked.is_(None))
        order = (GRANTS.c.created_at, GRANTS.c.grant_id)
        with reading(self._ledger.engine) as connection:
            return fetch_page(connection, query, order, _record, cursor=cursor, limit=limit)


_DETAILS = ("grant_id", "group_name", "not_before", "not_after", "uses_left")


def mark_grant_revoked(connection: Connection, grant_id: str, now: int) -> None:
    """Revoke a grant that is not revoked yet."""
    connection.execute(
        update(GRANTS)
        .where(GRANTS.c.grant_id == grant_id, GRANTS.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def copy_grants(turn: Transaction, old_key_id: str, new_key_id: str) -> int:
    """Give everybody who has a right to one key the same right to another; return how many."""
    query = select(GRANTS).where(GRANTS.c.key_id == old_key_id, GRANTS.c.revoked_at.is_(None))
    rows = [
        dict(row) | {"grant_id": generate_id(GRANT_ID_PREFIX), "key_id": new_key_id, "created_at": turn.now}
        for row in turn.connection.execute(query).mappings()
    ]
    if rows:
        turn.connection.execute(insert(GRANTS), rows)
    return len(rows)


def _receiver(device_id: str | None, group: str | None) -> dict[str, Any]:
    if (device_id is None) == (group is None):
        raise RecordError("a grant is for one device or one group", hint="Name one of the two.")
    if device_id is not None:
        return {"device_id": parse_name(device_id, what="device name"), "group_name": None}
    return {"device_id": None, "group_name": parse_name(str(group), what="group name")}


def _bounds(not_before: datetime | None, not_after: datetime | None, uses: int | None) -> dict[str, Any]:
    if not_before is not None and not_after is not None and not_after <= not_before:
        raise RecordError("the grant would end before it begins", hint="")
    if uses is not None and not 1 <= uses <= _MOST_USES:
        raise RecordError(f"a limited grant has 1 to {_MOST_USES} uses", hint="")
    return {
        "not_before": None if not_before is None else to_seconds(not_before),
        "not_after": None if not_after is None else to_seconds(not_after),
        "uses_left": uses,
    }


def _find(connection: Connection, grant_id: str) -> GrantRecord:
    if not is_id(GRANT_ID_PREFIX, grant_id):
        raise RecordError(f"not a grant id: {grant_id[:50]!r}", hint="One is grt_ and 12 characters.")
    row = connection.execute(select(GRANTS).where(GRANTS.c.grant_id == grant_id)).mappings().first()
    if row is None:
        raise RecordMissingError(f"there is no grant {grant_id}")
    return _record(row)


def _record(row: Mapping[str, Any] | RowMapping) -> GrantRecord:
    return GrantRecord(
        grant_id=row["grant_id"],
        key_id=row["key_id"],
        device_id=row["device_id"],
        group=row["group_name"],
        not_before=optional_time(row["not_before"]),
        not_after=optional_time(row["not_after"]),
        uses_left=row["uses_left"],
        created=from_seconds(row["created_at"]),
        revoked=optional_time(row["revoked_at"]),
    )
