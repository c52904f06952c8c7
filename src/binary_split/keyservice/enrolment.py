"""Enrolment: a code that works once, for a short time, becomes a device's public key and its token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from binary_split.errors import EnrolmentRefusedError, RecordConflictError, RecordError, RecordMissingError
from binary_split.keyservice.chain import LOCAL, AuditEvent
from binary_split.keyservice.clock import from_seconds, optional_time
from binary_split.keyservice.database import reading
from binary_split.keyservice.decision import FRAGMENT_READ
from binary_split.keyservice.devices import DeviceRecord, find_device, parse_public_key
from binary_split.keyservice.ledger import Ledger, Transaction
from binary_split.keyservice.names import generate_id, is_id
from binary_split.keyservice.paging import DEFAULT_PAGE, Page, fetch_page
from binary_split.keyservice.schema import DEVICES, ENROLMENT_CODES
from binary_split.keyservice.token_records import insert_token, mark_device_tokens_revoked
from binary_split.keyservice.tokens import IssuedToken, hash_token

CODE_PREFIX = "bse_"
CODE_ID_PREFIX = "enr_"
LONGEST_CODE_LIFE = timedelta(days=7)
_CODE_BYTES = 20


@dataclass(frozen=True, slots=True)
class CodeRecord:
    """What the store knows of a code; never the code."""

    code_id: str
    device_id: str
    created: datetime
    expires: datetime
    used: datetime | None
    revoked: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """A new code, the only time that its text exists here; no repr shows it."""

    record: CodeRecord
    text: str = field(repr=False)


class EnrolmentRepository:
    """Makes and redeems codes. Every method may raise what ``reading`` and ``writing`` raise."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def issue(self, device_id: str, *, lifetime: timedelta, by: str = LOCAL) -> IssuedCode:
        """Make a code for a device that is known already. Only its hash is stored.

        Raises:
            RecordError: there is no such device, or it is disabled, or the lifetime is none.
        """
        if not timedelta(0) < lifetime <= LONGEST_CODE_LIFE:
            raise RecordError(f"a code lives for {LONGEST_CODE_LIFE.days} days at most", hint="")
        text = CODE_PREFIX + secrets.token_urlsafe(_CODE_BYTES)
        with self._ledger.writing() as turn:
            if find_device(turn.connection, device_id).state != "active":
                raise RecordConflictError(f"device {device_id!r} is disabled", hint="Enable it first.")
            row = {
                "code_id": generate_id(CODE_ID_PREFIX),
                "device_id": device_id,
                "created_at": turn.now,
                "expires_at": turn.now + int(lifetime.total_seconds()),
                "used_at": None,
                "revoked_at": None,
            }
            turn.connection.execute(insert(ENROLMENT_CODES).values(**row, code_hash=hash_token(text)))
            turn.record(
                AuditEvent(
                    kind="code-issue", actor=by, device_id=device_id, detail={"code_id": row["code_id"]}
                )
            )
        return IssuedCode(_record(row), text)

    def redeem(
        self, code: str, public_key: bytes | None, *, token_lifetime: timedelta
    ) -> tuple[DeviceRecord, IssuedToken]:
        """Turn a code into an enrolled device and its token. Every earlier token of the device is revoked.

        A device whose answer was lost shows the same code again: with the public key that the code enrolled,
        and while the token is not revoked that came of it, that is the same enrolment and gives a new token.

        Args:
            code: what ``issue`` returned.
            public_key: to which fragments will be sealed; the caller has checked that it is one.
            token_lifetime: how long the token works.

        Raises:
            EnrolmentRefusedError: the code is unknown, used, revoked or expired, or its device is disabled.
            RecordError: the public key is empty or too long.
        """
        parse_public_key(public_key)
        with self._ledger.writing() as turn:
            code_id, device_id, is_repeat = _spend(turn, code, public_key)
            revoked = mark_device_tokens_revoked(turn.connection, device_id, turn.now)
            if is_repeat and not revoked:  # somebody took the right away in between
                raise EnrolmentRefusedError("the enrolment code does not work")
            turn.connection.execute(
                update(DEVICES).where(DEVICES.c.device_id == device_id).values(public_key=public_key)
            )
            turn.record(
                AuditEvent(
                    kind="device-enrol",
                    actor=code_id,
                    device_id=device_id,
                    detail={"code_id": code_id, "tokens_revoked": revoked}
                    | ({"repeat": "yes"} if is_repeat else {}),
                )
            )
            issued = insert_token(
                turn,
                lifetime=token_lifetime,
                label="",
                key_id=None,
                device_id=device_id,
                scopes=frozenset({FRAGMENT_READ}),
                by=code_id,
            )
            return find_device(turn.connection, device_id), issued

    def revoke(self, code_id: str, *, by: str = LOCAL) -> CodeRecord:
        """Take a code back. Doing it again, or after its use, changes nothing.

        Raises:
            RecordError: there is no such code.
        """
        with self._ledger.writing() as turn:
            old = _find(turn.connection, code_id)
            if old.revoked is None and old.used is None:
                mark_code_revoked(turn.connection, code_id, turn.now)
                turn.record(
                    AuditEvent(
                        kind="code-revoke", actor=by, device_id=old.device_id, detail={"code_id": code_id}
                    )
                )
            return _find(turn.connection, code_id)

    def page(
        self, *, cursor: str | None = None, limit: int = DEFAULT_PAGE, device_id: str | None = None
    ) -> Page[CodeRecord]:
        """Return codes, oldest first, of one device if asked for.

        Raises:
            RecordError: the cursor or the limit is none.
        """
        query = select(ENROLMENT_CODES)
        if device_id is not None:
            query = query.where(ENROLMENT_CODES.c.device_id == device_id)
        order = (ENROLMENT_CODES.c.created_at, ENROLMENT_CODES.c.code_id)
        with reading(self._ledger.engine) as connection:
            return fetch_page(connection, query, order, _record, cursor=cursor, limit=limit)


def mark_code_revoked(connection: Connection, code_id: str, now: int) -> None:
    """Revoke a code that is not revoked yet."""
    connection.execute(
        update(ENROLMENT_CODES)
        .where(ENROLMENT_CODES.c.code_id == code_id, ENROLMENT_CODES.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def _spend(turn: Transaction, code: str, public_key: bytes | None) -> tuple[str, str, bool]:
    """Return the code's id, its device, and whether this very enrolment was made before."""
    codes = ENROLMENT_CODES.c
    row = turn.connection.execute(
        select(codes.code_id, codes.device_id, codes.used_at, DEVICES.c.state, DEVICES.c.public_key)
        .join(DEVICES, DEVICES.c.device_id == codes.device_id)
        .where(codes.code_hash == hash_token(code), codes.revoked_at.is_(None), codes.expires_at > turn.now)
    ).first()
    if row is None or row.state != "active":
        raise EnrolmentRefusedError("the enrolment code does not work")
    if row.used_at is not None and public_key is not None and bytes(row.public_key or b"") == public_key:
        return row.code_id, row.device_id, True
    spent = turn.connection.execute(
        update(ENROLMENT_CODES)
        .where(codes.code_id == row.code_id, codes.used_at.is_(None))
        .values(used_at=turn.now)
    )
    if spent.rowcount != 1:
        raise EnrolmentRefusedError("the enrolment code does not work")
    return row.code_id, row.device_id, False


def _find(connection: Connection, code_id: str) -> CodeRecord:
    if not is_id(CODE_ID_PREFIX, code_id):
        raise RecordError("not the id of an enrolment code: one is enr_ and 12 characters")
    query = select(ENROLMENT_CODES).where(ENROLMENT_CODES.c.code_id == code_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise RecordMissingError(f"there is no enrolment code {code_id}")
    return _record(row)


def _record(row: Mapping[str, Any] | RowMapping) -> CodeRecord:
    return CodeRecord(
        code_id=row["code_id"],
        device_id=row["device_id"],
        created=from_seconds(row["created_at"]),
        expires=from_seconds(row["expires_at"]),
        used=optional_time(row["used_at"]),
        revoked=optional_time(row["revoked_at"]),
    )
