"""``binary-split admin enrolment``: the codes by which devices enrol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from binary_split.cli.answers import Listing, do_and_print, listing_options, print_list
from binary_split.cli.desks import Place, place_options
from binary_split.cli.issuing import issue_secret
from binary_split.cli.options import NAMED_FILE, json_option
from binary_split.keyservice.admin import acts


@click.group()
def enrolment() -> None:
    """Issue, revoke and list the codes by which devices enrol."""


@enrolment.command()
@click.argument("device_id")
@click.option("--expires", metavar="TIME", default="1d", show_default=True, help="7d at most, 12h or 30m.")
@click.option(
    "--out", metavar="F", type=NAMED_FILE, help="Write the code to this new file (mode 0600) instead."
)
@json_option
@place_options
def issue(device_id: str, expires: str, out: Path | None, as_json: bool, place: Place) -> None:
    """Make a code for a device that is registered, and print it, this once.

    On the device, `binary-split enroll CODE` makes it the device's token; its earlier tokens are revoked.
    """
    from binary_split.keyservice.tokens import parse_lifetime

    parse_lifetime(expires)
    members = {"device_id": device_id, "lifetime": expires}
    issue_secret(place, acts.ISSUE_CODE, "code", out, as_json=as_json, **members)


@enrolment.command()
@click.argument("code_id")
@json_option
@place_options
def revoke(code_id: str, as_json: bool, place: Place) -> None:
    """Take a code back by its id (enr_…); one that was used stays so."""
    do_and_print(place, acts.REVOKE_CODE, "the code does not work any more", as_json=as_json, code_id=code_id)


@enrolment.command("list")
@click.option("--device", "device_id", metavar="D", help="Only those of this device.")
@listing_options
@place_options
def list_(device_id: str | None, listing: Listing, place: Place) -> None:
    """List the codes, oldest first: id, device, state, expiry; never the codes themselves."""
    print_list(place, acts.LIST_CODES, listing, _columns, device_id=device_id)


def _columns(row: dict[str, Any]) -> list[str]:
    return [row["code_id"], row["device_id"], row["state"], row["expires"]]
