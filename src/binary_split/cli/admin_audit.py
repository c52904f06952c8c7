"""``binary-split admin audit``: what happened, and whether the record of it holds."""

from __future__ import annotations

import json
from typing import Any

import click

from binary_split.cli.answers import Listing, listing_options, print_list, word
from binary_split.cli.desks import Place, place_options
from binary_split.cli.options import json_option
from binary_split.cli.output import emit_json, say
from binary_split.errors import AuditBrokenError
from binary_split.keyservice.admin import acts


@click.group()
def audit() -> None:
    """Read the audit, and prove its chain."""


@audit.command("list")
@click.option("--kind", metavar="K", help="Only such, as release or token-revoke.")
@click.option("--actor", metavar="A", help="Only what this token (tok_…) did; local: beside the database.")
@click.option("--key", "key_id", metavar="KEY_ID", help="Only what was about this key.")
@click.option("--device", "device_id", metavar="D", help="Only what was about this device.")
@click.option("--newest-first", is_flag=True, help="Turn the order around.")
@listing_options
@place_options
def list_(
    kind: str | None,
    actor: str | None,
    key_id: str | None,
    device_id: str | None,
    newest_first: bool,
    listing: Listing,
    place: Place,
) -> None:
    """List what happened, oldest first: number, time, what, by whom, key, device, detail."""
    filters = {"kind": kind, "actor": actor, "key_id": key_id, "device_id": device_id}
    print_list(place, acts.LIST_AUDIT, listing, _columns, newest_first=newest_first, **filters)


@audit.command()
@json_option
@place_options
def verify(as_json: bool, place: Place) -> None:
    """Prove that no record is missing, altered, added or moved."""
    with place.open() as desk:
        found = desk.do(acts.VERIFY_AUDIT)
    if as_json:
        emit_json(found)
    if not found["is_sound"]:
        raise AuditBrokenError(found["message"])
    say(f"{found['records']} records, none missing, altered, added or moved")


def _columns(row: dict[str, Any]) -> list[str]:
    detail = json.dumps(row["detail"], sort_keys=True, separators=(",", ":"))
    names = [word(row["key_id"]), word(row["device_id"])]
    return [str(row["seq"]), row["at"], row["kind"], row["actor"], *names, detail]
