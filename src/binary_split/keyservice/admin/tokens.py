"""Acts on tokens and enrolment codes: what is secret of them is in one answer, once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from binary_split.keyservice.admin import acts
from binary_split.keyservice.admin.wishes import (
    Desk,
    Label,
    Lifetime,
    Name,
    PageWish,
    Performed,
    Time,
    View,
    Wish,
    to_lifetime,
)
from binary_split.keyservice.enrolment import CodeRecord
from binary_split.keyservice.tokens import TokenRecord, TokenState

Scope = Literal["fragment:read", "admin", "audit:read"]
CodeState = Literal["open", "used", "expired", "revoked"]
TokenId = Annotated[str, StringConstraints(pattern=r"^tok_[a-z2-7]{12}$")]
CodeId = Annotated[str, StringConstraints(pattern=r"^enr_[a-z2-7]{12}$")]


class TokenView(View):
    """What is known of a token; never the token."""

    token_id: str
    key_id: str | None
    device_id: str | None
    scopes: list[str]
    label: str
    state: TokenState
    created: Time
    expires: Time
    revoked: Time | None


class IssuedTokenView(TokenView):
    """A new token, with its text."""

    token: str = Field(repr=False)


class TokenPage(View):
    """Some tokens."""

    items: list[TokenView]
    next_cursor: str | None


class TokenFilter(PageWish):
    """Which tokens."""

    key_id: Name | None = None
    device_id: Name | None = None
    is_revoked: bool | None = None


class TokenWish(Wish):
    """One token, by its public id."""

    token_id: TokenId


class NewToken(Wish):
    """A new token."""

    key_id: Name | None = None
    device_id: Name | None = None
    scopes: list[Scope] = Field(["fragment:read"], min_length=1, max_length=3)
    label: Label = ""
    lifetime: Lifetime = "90d"


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


def _token(desk: Desk, record: TokenRecord) -> TokenView:
    return TokenView(
        token_id=record.token_id,
        key_id=record.key_id,
        device_id=record.device_id,
        scopes=sorted(record.scopes),
        label=record.label,
        state=record.state_at(desk.store.clock()),
        created=record.created,
        expires=record.expires,
        revoked=record.revoked,
    )


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


def _list(desk: Desk, wish: TokenFilter) -> TokenPage:
    page = desk.store.tokens.page(
        cursor=wish.cursor,
        limit=wish.limit,
        key_id=wish.key_id,
        device_id=wish.device_id,
        is_revoked=wish.is_revoked,
    )
    return TokenPage(items=[_token(desk, row) for row in page.rows], next_cursor=page.next_cursor)


def _find(desk: Desk, wish: TokenWish) -> TokenView:
    return _token(desk, desk.store.tokens.find_id(wish.token_id))


def _issue(desk: Desk, wish: NewToken) -> IssuedTokenView:
    issued = desk.store.tokens.issue(
        wish.key_id,
        lifetime=to_lifetime(wish.lifetime),
        label=wish.label,
        device_id=wish.device_id,
        scopes=wish.scopes,
        by=desk.by,
    )
    return IssuedTokenView(**_token(desk, issued.record).model_dump(), token=issued.text)


def _revoke(desk: Desk, wish: TokenWish) -> TokenView:
    return _token(desk, desk.store.tokens.revoke(wish.token_id, by=desk.by))


def _list_codes(desk: Desk, wish: CodeFilter) -> CodePage:
    page = desk.store.enrolment.page(cursor=wish.cursor, limit=wish.limit, device_id=wish.device_id)
    return CodePage(items=[_code(desk, row) for row in page.rows], next_cursor=page.next_cursor)


def _issue_code(desk: Desk, wish: NewCode) -> IssuedCodeView:
    issued = desk.store.enrolment.issue(wish.device_id, lifetime=to_lifetime(wish.lifetime), by=desk.by)
    return IssuedCodeView(**_code(desk, issued.record).model_dump(), code=issued.text)


def _revoke_code(desk: Desk, wish: CodeWish) -> CodeView:
    return _code(desk, desk.store.enrolment.revoke(wish.code_id, by=desk.by))


PERFORMED: tuple[Performed[Any], ...] = (
    Performed(acts.LIST_TOKENS, TokenFilter, TokenPage, _list),
    Performed(acts.FIND_TOKEN, TokenWish, TokenView, _find),
    Performed(acts.ISSUE_TOKEN, NewToken, IssuedTokenView, _issue),
    Performed(acts.REVOKE_TOKEN, TokenWish, TokenView, _revoke),
    Performed(acts.LIST_CODES, CodeFilter, CodePage, _list_codes),
    Performed(acts.ISSUE_CODE, NewCode, IssuedCodeView, _issue_code),
    Performed(acts.REVOKE_CODE, CodeWish, CodeView, _revoke_code),
)
