"""How wishes and answers are written: strict, and with nothing in them that has no name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from binary_split.config import LIMITS
from binary_split.errors import ConfigError
from binary_split.keyservice.admin.acts import Act
from binary_split.keyservice.paging import DEFAULT_PAGE, LONGEST_CURSOR, LONGEST_PAGE
from binary_split.keyservice.store import Store
from binary_split.keyservice.tokens import parse_label, parse_lifetime

_BASE64_CHARACTERS = -(-LIMITS.fragment_bytes // 3) * 4
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


@dataclass(frozen=True, slots=True)
class Desk:
    """Where acts are done: a store, and the actor that the audit names."""

    store: Store
    by: str


class Wish(BaseModel):
    """What an act is asked for; a member that it does not know is refused, not passed over."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class PageWish(Wish):
    """Which page of a list."""

    cursor: Annotated[str, StringConstraints(max_length=LONGEST_CURSOR)] | None = Field(
        None, description="The `next_cursor` of the page before."
    )
    limit: int = Field(DEFAULT_PAGE, ge=1, le=LONGEST_PAGE, description="How many at most.")


class View(BaseModel):
    """What is answered."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


W = TypeVar("W", bound=Wish)


@dataclass(frozen=True, slots=True)
class Performed(Generic[W]):
    """An act, the form of its wish and of its answer, and the function that does it.

    The function raises RecordError and its kin, ConfigError, and what the store raises.
    """

    act: Act
    wish: type[W]
    view: type[View]
    run: Callable[[Desk, W], View]


def _checked(parse: Callable[[str], Any]) -> Callable[[str], str]:
    """Make a validator of one of our parsers: its message is ours and quotes no secret."""

    def check(text: str) -> str:
        try:
            parse(text)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return text

    return check


def _check_time(time: datetime) -> datetime:
    if not _FIRST_YEAR < time.year < _LAST_YEAR:
        raise ValueError(f"a year between {_FIRST_YEAR} and {_LAST_YEAR} is needed")
    return time.astimezone(UTC)


def _check_base64(text: str) -> str:
    decode_fragment(text)
    return text


def decode_fragment(text: str) -> bytes:
    """Return the bytes of a fragment that was sent.

    Raises:
        ValueError: it is no base64, or too long.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if not 1 <= len(content) <= LIMITS.fragment_bytes:
        raise ValueError(f"a fragment is 1 to {LIMITS.fragment_bytes} bytes long")
    return content


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""A key's, a device's or a group's."""
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{1,64}$")]
"""What a filter compares with."""
Label = Annotated[str, StringConstraints(max_length=200), AfterValidator(_checked(parse_label))]
Lifetime = Annotated[
    str,
    StringConstraints(pattern=r"^[1-9][0-9]{0,7}[dhm]$"),
    AfterValidator(_checked(parse_lifetime)),
    Field(description="90d, 12h or 30m."),
]
FragmentText = Annotated[
    str,
    StringConstraints(min_length=4, max_length=_BASE64_CHARACTERS, pattern=r"^[A-Za-z0-9+/]+={0,2}$"),
    AfterValidator(_check_base64),
]
TimeWish = Annotated[AwareDatetime, AfterValidator(_check_time)]
Time = Annotated[
    datetime,
    PlainSerializer(datetime.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
