"""``binary-split token``: issue, revoke and list the key service's tokens."""

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
from binary_split.cli.issuing import issue_secret
from binary_split.cli.options import NAMED_FILE, json_option
from binary_split.keyservice.admin import acts

_SCOPES = click.Choice(("fragment:read", "admin", "audit:read"))


@click.group()
def token() -> None:
    """Issue, revoke and list the key service's tokens."""


@token.command()
@click.option("--key", "key_id", metavar="KEY_ID", help="The key whose fragment it opens by itself.")
@click.option("--device", "device_id", metavar="D", help="The device that it speaks for; its grants decide.")
@click.option(
    "--scope", "scopes", type=_SCOPES, multiple=True, help="What it is for; repeat. Default: fragment:read."
)
@click.option("--expires", metavar="TIME", default="90d", show_default=True, help="90d, 12h or 30m.")
@click.option("--label", metavar="TEXT", default="", help="Whose it is, for people.")
@click.option(
    "--out", metavar="F", type=NAMED_FILE, help="Write the token to this new file (mode 0600) instead."
)
@json_option
@place_options
def issue(
    key_id: str | None,
    device_id: str | None,
    scopes: tuple[str, ...],
    expires: str,
    label: str,
    out: Path | None,
    as_json: bool,
    place: Place,
) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    from binary_split.keyservice.tokens import parse_lifetime

    parse_lifetime(expires)  # a mistyped one is told by our own parser
    issue_secret(
        place,
        acts.ISSUE_TOKEN,
        "token",
        out,
        as_json=as_json,
        key_id=key_id,
        device_id=device_id,
        scopes=list(scopes) or None,
        lifetime=expires,
        label=label,
    )


@token.command()
@click.argument("token_id")
@json_option
@place_options
def revoke(token_id: str, as_json: bool, place: Place) -> None:
    """Revoke the token with this id (tok_…, not the token itself): its next request is refused."""
    do_and_print(
        place, acts.REVOKE_TOKEN, f"token {token_id[:16]} is revoked", as_json=as_json, token_id=token_id
    )


@token.command("show")
@click.argument("token_id")
@json_option
@place_options
def show_(token_id: str, as_json: bool, place: Place) -> None:
    """Show what is known of the token with this id."""
    show(place, acts.FIND_TOKEN, as_json=as_json, token_id=token_id)


@token.command("list")
@click.option("--key", "key_id", metavar="KEY_ID", help="Only those for this key.")
@click.option("--device", "device_id", metavar="D", help="Only those of this device.")
@click.option("--revoked/--not-revoked", "is_revoked", default=None, help="Only those.")
@listing_options
@place_options
def list_(
    key_id: str | None, device_id: str | None, is_revoked: bool | None, listing: Listing, place: Place
) -> None:
    """List the tokens: id, what for, state, expiry and label; never the tokens themselves."""
    filters = {"key_id": key_id, "device_id": device_id, "is_revoked": is_revoked}
    print_list(place, acts.LIST_TOKENS, listing, _columns, **filters)


def _columns(row: dict[str, Any]) -> list[str]:
    whose = word(row["device_id"] or row["key_id"])
    return [row["token_id"], whose, word(row["scopes"]), row["state"], row["expires"], row["label"]]
