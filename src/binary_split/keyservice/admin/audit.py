"""Reading the audit."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from binary_split.errors import AuditBrokenError
from binary_split.keyservice.admin import acts
from binary_split.keyservice.admin.wishes import Desk, Name, PageWish, Performed, Time, View, Wish, Word
from binary_split.keyservice.chain import AuditRecord


class AuditView(View):
    """One record, as an export prints it."""

    seq: int
    at: Time
    kind: str
    actor: str
    key_id: str | None
    device_id: str | None
    detail: dict[str, Any]
    mac: str


class AuditPage(View):
    """Some records."""

    items: list[AuditView]
    next_cursor: str | None


class AuditFilter(PageWish):
    """Which records; a cursor belongs to the order that it was made in."""

    kind: Word | None = None
    actor: Word | None = None
    key_id: Name | None = None
    device_id: Name | None = None
    newest_first: bool = False


class Nothing(Wish):
    """No member."""


class Verification(View):
    """Whether the chain holds."""

    is_sound: bool
    records: int | None = Field(description="How many there are; null where the chain is broken.")
    mac: str | None = Field(description="Of the last record: for comparing with an earlier answer.")
    message: str = Field(description="What is broken; empty where nothing is.")


def _view(record: AuditRecord) -> AuditView:
    return AuditView(
        seq=record.seq,
        at=record.at,
        kind=record.kind,
        actor=record.actor,
        key_id=record.key_id,
        device_id=record.device_id,
        detail=json.loads(record.detail),
        mac=record.mac.hex(),
    )


def _list(desk: Desk, wish: AuditFilter) -> AuditPage:
    page = desk.store.audit.page(
        cursor=wish.cursor,
        limit=wish.limit,
        kind=wish.kind,
        actor=wish.actor,
        key_id=wish.key_id,
        device_id=wish.device_id,
        newest_first=wish.newest_first,
    )
    return AuditPage(items=[_view(row) for row in page.rows], next_cursor=page.next_cursor)


def _verify(desk: Desk, _wish: Nothing) -> Verification:
    try:
        head = desk.store.audit.verify()
    except AuditBrokenError as error:
        return Verification(is_sound=False, records=None, mac=None, message=str(error))
    return Verification(is_sound=True, records=head.seq, mac=head.mac.hex(), message="")


PERFORMED: tuple[Performed[Any], ...] = (
    Performed(acts.LIST_AUDIT, AuditFilter, AuditPage, _list),
    Performed(acts.VERIFY_AUDIT, Nothing, Verification, _verify),
)
