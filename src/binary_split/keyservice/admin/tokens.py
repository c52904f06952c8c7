"""Acts on tokens: a token is in the answer to its issue, and in no other."""

from __future__ import annotations

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
)
from binary_split.keyservice.tokens import TokenRecord, TokenState, parse_lifetime

Scope = Literal["fragment:read", "admin", "audit:read"]
TokenId = Annotated[str, StringConstraints(pattern=r"^tok_[a-z2-7]{12}$")]


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
        lifetime=parse_lifetime(wish.lifetime),
        label=wish.label,
        device_id=wish.device_id,
        scopes=wish.scopes,
        by=desk.by,
    )
    return IssuedTokenView(**_token(desk, issued.record).model_dump(), token=issued.text)


def _revoke(desk: Desk, wish: TokenWish) -> TokenView:
    return _token(desk, desk.store.tokens.revoke(wish.token_id, by=desk.by))


PERFORMED: tuple[Performed[Any], ...] = (
    Performed(acts.LIST_TOKENS, TokenFilter, TokenPage, _list),
    Performed(acts.FIND_TOKEN, TokenWish, TokenView, _find),
    Performed(acts.ISSUE_TOKEN, NewToken, IssuedTokenView, _issue),
    Performed(acts.REVOKE_TOKEN, TokenWish, TokenView, _revoke),
)
