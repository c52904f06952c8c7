"""``binary-split key``: the key service's keys and their fragments."""

from __future__ import annotations

from contextlib import suppress
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
from binary_split.cli.options import NAMED_FILE, json_option
from binary_split.cli.output import INTERRUPTED, emit_json, say
from binary_split.errors import (
    AdministrationForbiddenError,
    BinarySplitError,
    KeyServiceError,
    KeyServiceUrlError,
    TokenRejectedError,
)
from binary_split.keyservice.admin import acts
from binary_split.keyservice.admin.acts import Act

_FRAGMENT_BYTES = 32
_PLAIN = click.Choice(("allowed", "enrolled-refused", "refused"))
_SURELY_NOT_DONE = (AdministrationForbiddenError, KeyServiceUrlError, TokenRejectedError)

_out_option = click.option(
    "--out", metavar="F", type=NAMED_FILE, help="Also write the fragment to this new file (mode 0600)."
)
_plain_option = click.option(
    "--plain-release",
    type=_PLAIN,
    default="enrolled-refused",
    show_default=True,
    help="Who gets the fragment by the plain GET.",
)


@click.group()
def key() -> None:
    """Make, import, list, rotate, retire and destroy the key service's fragments."""


@key.command()
@click.argument("key_id")
@_out_option
@_plain_option
@json_option
@place_options
def create(key_id: str, out: Path | None, plain_release: str, as_json: bool, place: Place) -> None:
    """Make a new fragment of 32 random bytes, named KEY_ID for ever."""
    answer = _make(place, acts.CREATE_KEY, out, key_id=key_id, plain_release=plain_release)
    if as_json:
        emit_json(answer)
    say(f"key {key_id} created" + (f"; its fragment is in {out}" if out else ""))


@key.command("import")
@click.argument("key_id")
@click.argument("fragment_file", metavar="F", type=NAMED_FILE)
@_plain_option
@json_option
@place_options
def import_(key_id: str, fragment_file: Path, plain_release: str, as_json: bool, place: Place) -> None:
    """Store the fragment in file F, byte-exact (1 byte to 64 KiB), named KEY_ID for ever."""
    from binary_split.config import LIMITS
    from binary_split.files import read_secret

    fragment = read_secret(fragment_file, what="fragment", max_bytes=LIMITS.fragment_bytes)
    do_and_print(
        place,
        acts.CREATE_KEY,
        f"key {key_id} imported: {len(fragment)} bytes",
        as_json=as_json,
        key_id=key_id,
        fragment=_base64(fragment),
        plain_release=plain_release,
    )


@key.command("list")
@click.option(
    "--state-is", "wanted", type=click.Choice(("active", "retired", "destroyed")), help="Only those."
)
@click.option("--granted-to", metavar="D", help="Only those with a grant to this device itself.")
@listing_options
@place_options
def list_(wanted: str | None, granted_to: str | None, listing: Listing, place: Place) -> None:
    """List the keys: name, time of creation, state, plain release; never their fragments."""
    print_list(place, acts.LIST_KEYS, listing, _columns, state=wanted, granted_to=granted_to)


@key.command("show")
@click.argument("key_id")
@json_option
@place_options
def show_(key_id: str, as_json: bool, place: Place) -> None:
    """Show what is known of a key."""
    show(place, acts.FIND_KEY, as_json=as_json, key_id=key_id)


@key.command()
@click.argument("key_id")
@click.argument("new_key_id")
@_out_option
@json_option
@place_options
def rotate(key_id: str, new_key_id: str, out: Path | None, as_json: bool, place: Place) -> None:
    """Make a new key with KEY_ID's grants, and retire KEY_ID."""
    answer = _make(place, acts.ROTATE_KEY, out, key_id=key_id, new_key_id=new_key_id)
    if as_json:
        emit_json(answer)
    say(f"key {new_key_id} has the grants of {key_id}" + (f"; its fragment is in {out}" if out else ""))


@key.command()
@click.argument("key_id")
@json_option
@place_options
def retire(key_id: str, as_json: bool, place: Place) -> None:
    """Retire a key: no new seals; devices that may have it still get it."""
    do_and_print(place, acts.RETIRE_KEY, f"key {key_id} is retired", as_json=as_json, key_id=key_id)


@key.command()
@click.argument("key_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@place_options
def destroy(key_id: str, yes: bool, as_json: bool, place: Place) -> None:
    """Erase a key's fragment for ever: what was sealed with it opens no more."""
    if not yes and not _is_confirmed(f"Erase the fragment of {key_id} for ever?"):
        say("nothing was erased")
        raise click.exceptions.Exit(INTERRUPTED)
    do_and_print(place, acts.DESTROY_KEY, f"key {key_id} is destroyed", as_json=as_json, key_id=key_id)


@key.command()
@click.argument("key_id")
@click.argument("plain_release", metavar="[allowed|enrolled-refused|refused]", type=_PLAIN)
@json_option
@place_options
def policy(key_id: str, plain_release: str, as_json: bool, place: Place) -> None:
    """Say who gets a key's fragment by the plain GET.

    Everybody entitled (allowed), those whose device has enrolled no key (enrolled-refused), nobody (refused).
    """
    told = f"key {key_id}: plain release {plain_release}"
    members = {"key_id": key_id, "plain_release": plain_release}
    do_and_print(place, acts.SET_POLICY, told, as_json=as_json, **members)


def _is_confirmed(question: str) -> bool:
    """Ask, and take the end of the input for a no; click makes it the same as Ctrl-C."""
    try:
        return click.confirm(question, err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):
            say("\nnobody answers here: add --yes where that is meant")
            return False
        raise


def _columns(row: dict[str, Any]) -> list[str]:
    return [row["key_id"], row["created"], row["state"], word(row["plain_release"])]


def _make(place: Place, act: Act, out: Path | None, **members: Any) -> dict[str, Any]:
    """Make a key: here if its fragment is wanted in a file, for no answer holds one; else by the service."""
    with place.open() as desk:
        if out is None:
            return desk.do(act, **members)
        import os

        from binary_split.files import write_secret

        fragment = os.urandom(_FRAGMENT_BYTES)
        write_secret(out, fragment)
        try:
            return desk.do(act, **members, fragment=_base64(fragment))
        except BaseException as error:
            if _is_surely_not_done(error):
                with suppress(OSError):
                    out.unlink()
            else:  # no answer came, or Ctrl-C before it
                say(f"whether the key was made is not known: {out} keeps its fragment")
            raise


def _is_surely_not_done(error: BaseException) -> bool:
    if isinstance(error, KeyServiceError):
        return isinstance(error, _SURELY_NOT_DONE)
    return isinstance(error, BinarySplitError)


def _base64(content: bytes) -> str:
    from base64 import b64encode

    return b64encode(content).decode()
