"""Acts on enrolment codes: a code is in the answer to its issue, and in no other."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from binary_split.keyservice.admin import acts
from binary_split.keyservice.admin.wishes import (
    Desk,
    Lifetime,
    Name,
    PageWish,
    Performed,
    Time,
    View,
    Wish,
)
from binary_split.keyservice.enrolment import CodeRecord
from binary_split.keyservice.tokens import parse_lifetime

CodeState = Literal["open", "used", "expired", "revoked"]
CodeId = Annotated[str, StringConstraints(pattern=r"^enr_[a-z2-7]{12}$")]


class CodeView(View):
    """What is known of an enrolment code; never the code."""

    code_id: str
    device_id: str
    state: CodeState
    created: Time
    expires: Time
    used: Time | None
    revoked: Time | None


class IssuedCodeView(CodeView):
    """A new code, with its text."""

    code: str = Field(repr=False)


class CodePage(View):
    """Some codes."""

    items: list[CodeView]
    next_cursor: str | None


class CodeFilter(PageWish):
    """Which codes."""

    device_id: Name | None = None


class CodeWish(Wish):
    """One code, by its public id."""

    code_id: CodeId


class NewCode(Wish):
    """A new code for a device that is known."""

    device_id: Name
    lifetime: Lifetime = "1d"


def _code_state(record: CodeRecord, now: datetime) -> CodeState:
    if record.revoked is not None:
        return "revoked"
    if record.used is not None:
        return "used"
    return "expired" if now >= record.expires else "open"


def _code(desk: Desk, record: CodeRecord) -> CodeView:
    return CodeView(
        code_id=record.code_id,
        device_id=record.device_id,
        state=_code_state(record, desk.store.clock()),
        created=record.created,
        expires=record.expires,
        used=record.used,
        revoked=record.revoked,
    )


def _list_codes(desk: Desk, wish: CodeFilter) -> CodePage:
    page = desk.store.enrolment.page(cursor=wish.cursor, limit=wish.limit, device_id=wish.device_id)
    return CodePage(items=[_code(desk, row) for row in page.rows], next_cursor=page.next_cursor)


def _issue_code(desk: Desk, wish: NewCode) -> IssuedCodeView:
    issued = desk.store.enrolment.issue(wish.device_id, lifetime=parse_lifetime(wish.lifetime), by=desk.by)
    return IssuedCodeView(**_code(desk, issued.record).model_dump(), code=issued.text)


def _revoke_code(desk: Desk, wish: CodeWish) -> CodeView:
    return _code(desk, desk.store.enrolment.revoke(wish.code_id, by=desk.by))


PERFORMED: tuple[Performed[Any], ...] = (
    Performed(acts.LIST_CODES, CodeFilter, CodePage, _list_codes),
    Performed(acts.ISSUE_CODE, NewCode, IssuedCodeView, _issue_code),
    Performed(acts.REVOKE_CODE, CodeWish, CodeView, _revoke_code),
)
