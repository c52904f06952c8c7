"""Acts on keys. None of their answers holds a fragment: docs/adr/0055-acts.md."""

from __future__ import annotations

import os
from typing import Any

from pydantic import Field

from binary_split.keyservice.admin import acts
from binary_split.keyservice.admin.wishes import (
    Desk,
    FragmentText,
    Name,
    PageWish,
    Performed,
    Time,
    View,
    Wish,
    decode_fragment,
)
from binary_split.keyservice.decision import KeyState, PlainRelease
from binary_split.keyservice.keys import FRAGMENT_BYTES
from binary_split.model import Fragment


class KeyView(View):
    """What may be told of a key."""

    key_id: str
    created: Time
    state: KeyState
    plain_release: PlainRelease
    retired: Time | None
    destroyed: Time | None


class KeyPage(View):
    """Some keys."""

    items: list[KeyView]
    next_cursor: str | None


class KeyFilter(PageWish):
    """Which keys."""

    state: KeyState | None = None
    granted_to: Name | None = Field(None, description="Those with a grant to this device itself.")


class KeyWish(Wish):
    """One key."""

    key_id: Name


class NewKey(KeyWish):
    """A new key."""

    fragment: FragmentText | None = Field(
        None, repr=False, description="Base64; without it the service makes 32 random bytes."
    )
    plain_release: PlainRelease = "enrolled-refused"


class NextKey(KeyWish):
    """A key that takes another's place."""

    new_key_id: Name
    fragment: FragmentText | None = Field(
        None, repr=False, description="Base64; without it the service makes 32 random bytes."
    )


class KeyPolicy(KeyWish):
    """Who gets the fragment by the plain GET."""

    plain_release: PlainRelease


def _list(desk: Desk, wish: KeyFilter) -> KeyPage:
    page = desk.store.keys.page(
        cursor=wish.cursor, limit=wish.limit, state=wish.state, granted_to=wish.granted_to
    )
    return KeyPage(items=[KeyView.model_validate(row) for row in page.rows], next_cursor=page.next_cursor)


def _find(desk: Desk, wish: KeyWish) -> KeyView:
    return KeyView.model_validate(desk.store.keys.find(wish.key_id))


def _create(desk: Desk, wish: NewKey) -> KeyView:
    fragment = _fragment(wish.fragment)
    record = desk.store.keys.add(wish.key_id, fragment, plain_release=wish.plain_release, by=desk.by)
    return KeyView.model_validate(record)


def _rotate(desk: Desk, wish: NextKey) -> KeyView:
    fragment = _fragment(wish.fragment)
    return KeyView.model_validate(desk.store.keys.rotate(wish.key_id, wish.new_key_id, fragment, by=desk.by))


def _retire(desk: Desk, wish: KeyWish) -> KeyView:
    return KeyView.model_validate(desk.store.keys.retire(wish.key_id, by=desk.by))


def _destroy(desk: Desk, wish: KeyWish) -> KeyView:
    return KeyView.model_validate(desk.store.keys.destroy(wish.key_id, by=desk.by))


def _set_policy(desk: Desk, wish: KeyPolicy) -> KeyView:
    record = desk.store.keys.set_plain_release(wish.key_id, wish.plain_release, by=desk.by)
    return KeyView.model_validate(record)


def _fragment(text: str | None) -> Fragment:
    return Fragment(os.urandom(FRAGMENT_BYTES) if text is None else decode_fragment(text))


PERFORMED: tuple[Performed[Any], ...] = (
    Performed(acts.LIST_KEYS, KeyFilter, KeyPage, _list),
    Performed(acts.FIND_KEY, KeyWish, KeyView, _find),
    Performed(acts.CREATE_KEY, NewKey, KeyView, _create),
    Performed(acts.ROTATE_KEY, NextKey, KeyView, _rotate),
    Performed(acts.RETIRE_KEY, KeyWish, KeyView, _retire),
    Performed(acts.DESTROY_KEY, KeyWish, KeyView, _destroy),
    Performed(acts.SET_POLICY, KeyPolicy, KeyView, _set_policy),
)
