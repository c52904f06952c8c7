"""Printing what the administration answers: lists, whole or in pages, and what is known of one thing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from binary_split.cli.desks import Place
from binary_split.cli.options import json_option
from binary_split.cli.output import emit, emit_json, printable, say
from binary_split.keyservice.admin.acts import Act

_Command = TypeVar("_Command", bound=Callable[..., Any])
_ALL = 1000
_EMPTY = "-"


@dataclass(frozen=True, slots=True)
class Listing:
    """How much of a list is wanted, and in which form."""

    limit: int | None
    cursor: str | None
    as_json: bool


def listing_options(command: _Command) -> _Command:
    """Give a command the argument ``listing``, and the options that page a list."""

    @functools.wraps(command)
    def with_listing(
        *arguments: Any, limit: int | None, cursor: str | None, as_json: bool, **options: Any
    ) -> Any:
        return command(*arguments, listing=Listing(limit, cursor, as_json), **options)

    wrapped: Any = json_option(with_listing)
    wrapped = click.option("--cursor", metavar="C", help="Go on where a page ended.")(wrapped)
    wrapped = click.option("--limit", type=click.IntRange(1, _ALL), help="One page of so many; else all.")(
        wrapped
    )
    result: _Command = wrapped
    return result


def print_list(
    place: Place, act: Act, listing: Listing, columns: Callable[[dict[str, Any]], list[str]], **filters: Any
) -> None:
    """Print the rows of a list: all of them, or one page if a page is asked for.

    Args:
        place: where.
        act: lists something.
        listing: how much.
        columns: a row, for people.
        filters: which rows.
    """
    is_page = listing.limit is not None or listing.cursor is not None
    with place.open() as desk:
        page = desk.do(act, limit=listing.limit or _ALL, cursor=listing.cursor, **filters)
        rows = page["items"]
        while not is_page and page["next_cursor"] is not None:
            page = desk.do(act, limit=_ALL, cursor=page["next_cursor"], **filters)
            rows += page["items"]
    if listing.as_json:
        emit_json({"items": rows, "next_cursor": page["next_cursor"]} if is_page else rows)
        return
    _print_columns([columns(row) for row in rows])
    if is_page and page["next_cursor"] is not None:
        say(f"more: --cursor {page['next_cursor']}")


def do_and_print(place: Place, act: Act, told: str, *, as_json: bool, **members: Any) -> None:
    """Do an act; print its answer if JSON is wanted, and tell the person in any case."""
    with place.open() as desk:
        answer = desk.do(act, **members)
    if as_json:
        emit_json(answer)
    say(told)


def show(place: Place, act: Act, *, as_json: bool, **members: Any) -> None:
    """Print what is known of one thing."""
    with place.open() as desk:
        answer = desk.do(act, **members)
    if as_json:
        emit_json(answer)
        return
    _print_columns([[name, word(value)] for name, value in answer.items()])


def word(value: Any) -> str:
    """Write a value for people: none is a dash."""
    if value is None or value in ("", []):
        return _EMPTY
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _print_columns(rows: list[list[str]]) -> None:
    rows = [list(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        emit("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
