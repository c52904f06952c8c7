"""``binary-split admin grant``: which device or group may have which key."""

from __future__ import annotations

from typing import Any

import click

from binary_split.cli.answers import (
    Listing,
    do_and_print,
    listing_options,
    print_list,
    show,
    word,
)
from binary_split.cli.desks import Place, place_options
from binary_split.cli.options import json_option
from binary_split.cli.output import emit, emit_json, say
from binary_split.keyservice.admin import acts


@click.group()
def grant() -> None:
    """Say which device or group may have which key, from when until when, and how often."""


@grant.command()
@click.option("--key", "key_id", metavar="KEY_ID", required=True, help="The key.")
@click.option("--device", "device_id", metavar="D", help="The device that may have it.")
@click.option("--group", metavar="G", help="Or the group whose devices may.")
@click.option("--not-before", metavar="TIME", help="From when on: 2026-01-31T12:00:00Z.")
@click.option("--not-after", metavar="TIME", help="Until before when.")
@click.option("--uses", type=click.IntRange(1), metavar="N", help="How many releases; over all of a group.")
@json_option
@place_options
def create(
    key_id: str,
    device_id: str | None,
    group: str | None,
    not_before: str | None,
    not_after: str | None,
    uses: int | None,
    as_json: bool,
    place: Place,
) -> None:
    """Let a device, or every device of a group, have a key; print the grant's id."""
    with place.open() as desk:
        made = desk.do(
            acts.CREATE_GRANT,
            key_id=key_id,
            device_id=device_id,
            group=group,
            not_before=not_before,
            not_after=not_after,
            uses=uses,
        )
    if as_json:
        emit_json(made)
    else:
        emit(made["grant_id"])
    say(f"{made['device_id'] or 'group ' + made['group']} may have key {key_id}")


@grant.command()
@click.argument("grant_id")
@json_option
@place_options
def revoke(grant_id: str, as_json: bool, place: Place) -> None:
    """Take a grant back, from the next request on."""
    told = f"grant {grant_id} is revoked"
    do_and_print(place, acts.REVOKE_GRANT, told, as_json=as_json, grant_id=grant_id)


@grant.command("show")
@click.argument("grant_id")
@json_option
@place_options
def show_(grant_id: str, as_json: bool, place: Place) -> None:
    """Show a grant, and whether it holds now."""
    show(place, acts.FIND_GRANT, as_json=as_json, grant_id=grant_id)


@grant.command("list")
@click.option("--key", "key_id", metavar="KEY_ID", help="Only those to this key.")
@click.option("--device", "device_id", metavar="D", help="Only those to this device itself.")
@click.option("--group", metavar="G", help="Only those to this group.")
@click.option("--revoked/--not-revoked", "is_revoked", default=None, help="Only those.")
@listing_options
@place_options
def list_(
    key_id: str | None,
    device_id: str | None,
    group: str | None,
    is_revoked: bool | None,
    listing: Listing,
    place: Place,
) -> None:
    """List the grants, oldest first: id, key, receiver, state, uses left, end."""
    filters = {"key_id": key_id, "device_id": device_id, "group": group, "is_revoked": is_revoked}
    print_list(place, acts.LIST_GRANTS, listing, _columns, **filters)


def _columns(row: dict[str, Any]) -> list[str]:
    receiver = row["device_id"] or f"@{row['group']}"
    return [
        row["grant_id"],
        row["key_id"],
        receiver,
        row["state"],
        word(row["uses_left"]),
        word(row["not_after"]),
    ]
