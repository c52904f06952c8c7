"""Acts on grants."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from binary_split.keyservice.admin import acts
from binary_split.keyservice.admin.wishes import Desk, Name, PageWish, Performed, Time, TimeWish, View, Wish
from binary_split.keyservice.grants import GrantRecord

GrantState = Literal["active", "waiting", "ended", "used-up", "revoked"]
GrantId = Annotated[str, StringConstraints(pattern=r"^grt_[a-z2-7]{12}$")]


class GrantView(View):
    """One right, and whether it holds now."""

    grant_id: str
    key_id: str
    device_id: str | None
    group: str | None
    state: GrantState
    not_before: Time | None
    not_after: Time | None
    uses_left: int | None
    created: Time
    revoked: Time | None


class GrantPage(View):
    """Some grants."""

    items: list[GrantView]
    next_cursor: str | None


class GrantFilter(PageWish):
    """Which grants."""

    key_id: Name | None = None
    device_id: Name | None = None
    group: Name | None = None
    is_revoked: bool | None = None


class GrantWish(Wish):
    """One grant."""

    grant_id: GrantId


class NewGrant(Wish):
    """A new grant, to one device or to one group."""

    key_id: Name
    device_id: Name | None = None
    group: Name | None = None
    not_before: TimeWish | None = None
    not_after: TimeWish | None = None
    uses: int | None = Field(None, ge=1, le=1_000_000_000)


def _state(record: GrantRecord, now: datetime) -> GrantState:
    if record.revoked is not None:
        return "revoked"
    if record.not_after is not None and now >= record.not_after:
        return "ended"
    if record.uses_left == 0:
        return "used-up"
    return "waiting" if record.not_before is not None and now < record.not_before else "active"


def _view(desk: Desk, record: GrantRecord) -> GrantView:
    return GrantView(
        grant_id=record.grant_id,
        key_id=record.key_id,
        device_id=record.device_id,
        group=record.group,
        state=_state(record, desk.store.clock()),
        not_before=record.not_before,
        not_after=record.not_after,
        uses_left=record.uses_left,
        created=record.created,
        revoked=record.revoked,
    )


def _list(desk: Desk, wish: GrantFilter) -> GrantPage:
    page = desk.store.grants.page(
        cursor=wish.cursor,
        limit=wish.limit,
        key_id=wish.key_id,
        device_id=wish.device_id,
        group=wish.group,
        is_revoked=wish.is_revoked,
    )
    return GrantPage(items=[_view(desk, row) for row in page.rows], next_cursor=page.next_cursor)


def _find(desk: Desk, wish: GrantWish) -> GrantView:
    return _view(desk, desk.store.grants.find(wish.grant_id))


def _create(desk: Desk, wish: NewGrant) -> GrantView:
    record = desk.store.grants.add(
        wish.key_id,
        device_id=wish.device_id,
        group=wish.group,
        not_before=wish.not_before,
        not_after=wish.not_after,
        uses=wish.uses,
        by=desk.by,
    )
    return _view(desk, record)


def _revoke(desk: Desk, wish: GrantWish) -> GrantView:
    return _view(desk, desk.store.grants.revoke(wish.grant_id, by=desk.by))


PERFORMED: tuple[Performed[Any], ...] = (
    Performed(acts.LIST_GRANTS, GrantFilter, GrantPage, _list),
    Performed(acts.FIND_GRANT, GrantWish, GrantView, _find),
    Performed(acts.CREATE_GRANT, NewGrant, GrantView, _create),
    Performed(acts.REVOKE_GRANT, GrantWish, GrantView, _revoke),
)
