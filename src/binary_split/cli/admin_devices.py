"""``binary-split admin device``: the devices that the key service knows."""

from __future__ import annotations

from pathlib import Path
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
from binary_split.keyservice.admin import acts

_KEY_BYTES = 4096


@click.group()
def device() -> None:
    """Register, disable and group devices."""


@device.command()
@click.argument("device_id")
@click.option("--label", metavar="TEXT", default="", help="Whose it is, for people.")
@click.option("--group", "groups", metavar="G", multiple=True, help="A group that it is in; repeat.")
@click.option(
    "--public-key-file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="F",
    help="Its public key, if it does not enrol by itself: what `device show` prints.",
)
@json_option
@place_options
def register(
    device_id: str,
    label: str,
    groups: tuple[str, ...],
    public_key_file: Path | None,
    as_json: bool,
    place: Place,
) -> None:
    """Make a device known, named DEVICE_ID for ever."""
    from binary_split.files import read_secret

    key = None
    if public_key_file is not None:
        content = read_secret(public_key_file, what="public key", max_bytes=_KEY_BYTES)
        key = content.decode("ascii", "replace").strip()
    members = {"device_id": device_id, "label": label, "groups": list(groups), "public_key": key}
    do_and_print(place, acts.REGISTER_DEVICE, f"device {device_id} is registered", as_json=as_json, **members)


@device.command("list")
@click.option("--state-is", "wanted", type=click.Choice(("active", "disabled")), help="Only those.")
@click.option("--group", metavar="G", help="Only those in this group.")
@listing_options
@place_options
def list_(wanted: str | None, group: str | None, listing: Listing, place: Place) -> None:
    """List the devices: name, state, groups, kind of enrolled key, label."""
    print_list(place, acts.LIST_DEVICES, listing, _columns, state=wanted, group=group)


@device.command("show")
@click.argument("device_id")
@json_option
@place_options
def show_(device_id: str, as_json: bool, place: Place) -> None:
    """Show what is known of a device."""
    show(place, acts.FIND_DEVICE, as_json=as_json, device_id=device_id)


@device.command()
@click.argument("device_id")
@click.argument("groups", metavar="[GROUP]...", nargs=-1)
@json_option
@place_options
def groups(device_id: str, groups: tuple[str, ...], as_json: bool, place: Place) -> None:
    """Put a device into these groups and no others."""
    told = f"device {device_id} is in {', '.join(groups) or 'no group'}"
    members = {"device_id": device_id, "groups": list(groups)}
    do_and_print(place, acts.SET_GROUPS, told, as_json=as_json, **members)


@device.command()
@click.argument("device_id")
@json_option
@place_options
def disable(device_id: str, as_json: bool, place: Place) -> None:
    """Refuse a device from its next request on, whatever token it has."""
    told = f"device {device_id} is disabled"
    do_and_print(place, acts.DISABLE_DEVICE, told, as_json=as_json, device_id=device_id)


@device.command()
@click.argument("device_id")
@json_option
@place_options
def enable(device_id: str, as_json: bool, place: Place) -> None:
    """Take a disabled device back."""
    told = f"device {device_id} is enabled"
    do_and_print(place, acts.ENABLE_DEVICE, told, as_json=as_json, device_id=device_id)


def _columns(row: dict[str, Any]) -> list[str]:
    kem = None if row["public_key"] is None else row["public_key"].partition(":")[0]
    return [row["device_id"], row["state"], word(row["groups"]), word(kem), row["label"]]
