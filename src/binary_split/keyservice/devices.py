"""The devices: who they are, the public key that each enrolled, the groups they are in, and their state."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import Connection, RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from binary_split.errors import RecordConflictError, RecordError, RecordMissingError
from binary_split.keyservice.chain import LOCAL, AuditEvent
from binary_split.keyservice.clock import from_seconds, optional_time
from binary_split.keyservice.database import reading
from binary_split.keyservice.ledger import Ledger
from binary_split.keyservice.names import parse_name
from binary_split.keyservice.paging import DEFAULT_PAGE, Page, fetch_page
from binary_split.keyservice.schema import DEVICE_GROUPS, DEVICES
from binary_split.keyservice.tokens import parse_label

DeviceState = Literal["active", "disabled"]
PUBLIC_KEY_BYTES = 4096
_GROUPS = 100


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """What the store knows of a device.

    Attributes:
        device_id: its name.
        label: whose it is, for people.
        state: a ``disabled`` one gets nothing, whatever token it has.
        public_key: to which fragments are sealed; None before it has enrolled with one.
        groups: sorted; a grant to one of them is a grant to the device.
        created: when.
        disabled: when it was disabled.
    """

    device_id: str
    label: str
    state: DeviceState
    public_key: bytes | None
    groups: tuple[str, ...]
    created: datetime
    disabled: datetime | None


class DeviceRepository:
    """Adds, changes and lists devices. Every method may raise what ``reading`` and ``writing`` raise."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(
        self,
        device_id: str,
        *,
        label: str = "",
        groups: Collection[str] = (),
        public_key: bytes | None = None,
        by: str = LOCAL,
    ) -> DeviceRecord:
        """Make a device known.

        Raises:
            RecordError: a name is malformed, the device exists already, or the public key is too long.
            ConfigError: the label is no label.
        """
        parse_name(device_id, what="device name")
        names = _parse_groups(groups)
        row = {
            "device_id": device_id,
            "label": parse_label(label),
            "state": "active",
            "public_key": parse_public_key(public_key),
        }
        with self._ledger.writing() as turn:
            try:
                turn.connection.execute(insert(DEVICES).values(**row, created_at=turn.now))
            except IntegrityError:
                raise RecordConflictError(f"device {device_id!r} exists already") from None
            write_groups(turn.connection, device_id, names)
            turn.record(
                AuditEvent(
                    kind="device-create", actor=by, device_id=device_id, detail={"groups": list(names)}
                )
            )
            return find_device(turn.connection, device_id)

    def set_groups(self, device_id: str, groups: Collection[str], *, by: str = LOCAL) -> DeviceRecord:
        """Put a device into these groups and no others, from its next request on.

        Raises:
            RecordError: there is no such device, or a name is malformed.
        """
        names = _parse_groups(groups)
        with self._ledger.writing() as turn:
            find_device(turn.connection, device_id)
            write_groups(turn.connection, device_id, names)
            turn.record(
                AuditEvent(
                    kind="device-groups", actor=by, device_id=device_id, detail={"groups": list(names)}
                )
            )
            return find_device(turn.connection, device_id)

    def disable(self, device_id: str, *, by: str = LOCAL) -> DeviceRecord:
        """Refuse a device from its next request on. Doing it again changes nothing, not even the time.

        Raises:
            RecordError: there is no such device.
        """
        return self._set_state(device_id, "disabled", by)

    def enable(self, device_id: str, *, by: str = LOCAL) -> DeviceRecord:
        """Take a disabled device back. Its tokens work again, unless they were revoked or have expired.

        Raises:
            RecordError: there is no such device.
        """
        return self._set_state(device_id, "active", by)

    def find(self, device_id: str) -> DeviceRecord:
        """Return one device.

        Raises:
            RecordError: there is no such device.
        """
        with reading(self._ledger.engine) as connection:
            return find_device(connection, device_id)

    def page(
        self,
        *,
        cursor: str | None = None,
        limit: int = DEFAULT_PAGE,
        state: DeviceState | None = None,
        group: str | None = None,
    ) -> Page[DeviceRecord]:
        """Return devices by name, those in a state or a group if asked for.

        Raises:
            RecordError: the cursor or the limit is none.
        """
        query = select(DEVICES)
        if state is not None:
            query = query.where(DEVICES.c.state == state)
        if group is not None:
            members = select(DEVICE_GROUPS.c.device_id).where(DEVICE_GROUPS.c.group_name == group)
            query = query.where(DEVICES.c.device_id.in_(members))
        with reading(self._ledger.engine) as connection:
            page = fetch_page(connection, query, (DEVICES.c.device_id,), dict, cursor=cursor, limit=limit)
            groups = _read_groups(connection, [row["device_id"] for row in page.rows])
        return Page(tuple(_record(row, groups) for row in page.rows), page.next_cursor)

    def _set_state(self, device_id: str, state: DeviceState, by: str) -> DeviceRecord:
        with self._ledger.writing() as turn:
            if find_device(turn.connection, device_id).state != state:
                write_state(turn.connection, device_id, state, turn.now)
                kind = "device-disable" if state == "disabled" else "device-enable"
                turn.record(AuditEvent(kind=kind, actor=by, device_id=device_id))
            return find_device(turn.connection, device_id)


def write_state(connection: Connection, device_id: str, state: DeviceState, now: int) -> None:
    """Set a device's state."""
    connection.execute(
        update(DEVICES)
        .where(DEVICES.c.device_id == device_id)
        .values(state=state, disabled_at=now if state == "disabled" else None)
    )


def is_known(connection: Connection, device_id: str) -> bool:
    """Tell whether there is a device of this name, whatever its state."""
    return connection.scalar(select(DEVICES.c.device_id).where(DEVICES.c.device_id == device_id)) is not None


def find_device(connection: Connection, device_id: str) -> DeviceRecord:
    """Return a device.

    Raises:
        RecordError: there is none of this name.
    """
    parse_name(device_id, what="device name")
    row = connection.execute(select(DEVICES).where(DEVICES.c.device_id == device_id)).mappings().first()
    if row is None:
        raise RecordMissingError(f"there is no device {device_id!r}")
    return _record(row, _read_groups(connection, [device_id]))


def parse_public_key(public_key: bytes | None) -> bytes | None:
    """Return a public key that fits into its column; what kind it is the release decides.

    Raises:
        RecordError: it is empty or too long.
    """
    if public_key is not None and not 1 <= len(public_key) <= PUBLIC_KEY_BYTES:
        raise RecordError(f"a public key is 1 to {PUBLIC_KEY_BYTES} bytes long", hint="")
    return public_key


def _parse_groups(groups: Collection[str]) -> list[str]:
    names = sorted({parse_name(name, what="group name") for name in groups})
    if len(names) > _GROUPS:
        raise RecordError(f"a device is in {_GROUPS} groups at most", hint="")
    return names


def write_groups(connection: Connection, device_id: str, names: list[str]) -> None:
    """Put a device into these groups and no others."""
    connection.execute(delete(DEVICE_GROUPS).where(DEVICE_GROUPS.c.device_id == device_id))
    if names:
        connection.execute(
            insert(DEVICE_GROUPS), [{"device_id": device_id, "group_name": name} for name in names]
        )


def _read_groups(connection: Connection, device_ids: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    query = select(DEVICE_GROUPS).where(DEVICE_GROUPS.c.device_id.in_(device_ids))
    for row in connection.execute(query.order_by(DEVICE_GROUPS.c.group_name)):
        found.setdefault(row.device_id, []).append(row.group_name)
    return found


def _record(row: Mapping[str, Any] | RowMapping, groups: Mapping[str, list[str]]) -> DeviceRecord:
    return DeviceRecord(
        device_id=row["device_id"],
        label=row["label"],
        state=cast("DeviceState", row["state"]),
        public_key=row["public_key"],
        groups=tuple(groups.get(row["device_id"], ())),
        created=from_seconds(row["created_at"]),
        disabled=optional_time(row["disabled_at"]),
    )
