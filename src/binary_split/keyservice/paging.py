"""Lists in pages: a page ends with a cursor, from which the next one goes on, whatever changed meanwhile."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, Connection, RowMapping, Select, literal, tuple_

from binary_split.errors import RecordError

DEFAULT_PAGE = 100
LONGEST_PAGE = 1000
LONGEST_CURSOR = 500

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list, and where the next ones begin; None is the end."""

    rows: tuple[Row, ...]
    next_cursor: str | None


def fetch_page(
    connection: Connection,
    query: Select[Any],
    order: tuple[Column[Any], ...],
    read: Callable[[RowMapping], Row],
    *,
    cursor: str | None,
    limit: int,
    newest_first: bool = False,
) -> Page[Row]:
    """Return the rows of ``query`` that come after ``cursor``.

    Args:
        connection: where to ask.
        query: selects the rows, and the columns in ``order`` among others.
        order: columns that together are unique and never change.
        read: makes a record of a row.
        cursor: a ``next_cursor``, or None for the first page.
        limit: how many rows at most, 1 to 1000.
        newest_first: whether the order is turned around; a cursor belongs to the order it was made in.

    Raises:
        RecordError: the cursor or the limit is none.
    """
    if not 1 <= limit <= LONGEST_PAGE:
        raise RecordError(f"a page holds 1 to {LONGEST_PAGE} rows", hint="")
    if cursor is not None:
        values = _parse_cursor(cursor, order)
        place = tuple_(*(literal(value, column.type) for value, column in zip(values, order, strict=True)))
        query = query.where(tuple_(*order) < place if newest_first else tuple_(*order) > place)
    directed = [column.desc() for column in order] if newest_first else list(order)
    rows = connection.execute(query.order_by(*directed).limit(limit + 1)).mappings().all()
    end = None
    if len(rows) > limit:
        rows = rows[:limit]
        end = _serialise_cursor([rows[-1][column.name] for column in order])
    return Page(tuple(read(row) for row in rows), end)


def _serialise_cursor(values: list[str | int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def _parse_cursor(cursor: str, order: tuple[Column[Any], ...]) -> list[str | int]:
    wrong = RecordError("not a cursor", hint="Take the one that came with the page before, as it is.")
    if len(cursor) > LONGEST_CURSOR or not cursor.isascii():
        raise wrong
    try:
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise wrong from None
    kinds = [column.type.python_type for column in order]
    if not isinstance(values, list) or [type(value) for value in values] != kinds:
        raise wrong
    if any(isinstance(value, str) and not value.isprintable() for value in values):
        raise wrong  # no name or id of ours; a database takes neither NUL nor half a surrogate pair
    if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in values):
        raise wrong
    return values
