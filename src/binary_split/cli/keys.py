"""``binary-split key``: make, import and list the key service's fragments."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from binary_split.cli.output import emit, emit_json, say
from binary_split.cli.state_option import state_option

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def key() -> None:
    """Make, import and list the key service's fragments."""


@key.command()
@click.argument("key_id")
@click.option("--out", metavar="F", type=_FILE, help="Also write the fragment to this new file (mode 0600).")
@state_option
def create(key_id: str, out: Path | None, state: Path) -> None:
    """Make a new fragment of 32 random bytes, named KEY_ID for ever."""
    import os

    from binary_split.files import secret_output
    from binary_split.keyservice.keys import FRAGMENT_BYTES
    from binary_split.keyservice.state import open_state
    from binary_split.model import Fragment

    fragment = Fragment(os.urandom(FRAGMENT_BYTES))
    with closing(open_state(state)) as store:
        if out is None:
            store.keys.add(key_id, fragment)
        else:
            with secret_output(out) as deliver:
                store.keys.add(key_id, fragment, deliver=deliver)
    say(f"key {key_id} created" + (f"; its fragment is in {out}" if out else ""))


@key.command("import")
@click.argument("key_id")
@click.argument("fragment_file", metavar="F", type=_FILE)
@state_option
def import_(key_id: str, fragment_file: Path, state: Path) -> None:
    """Store the fragment in file F, byte-exact (1 byte to 64 KiB), named KEY_ID for ever."""
    from binary_split.config import LIMITS
    from binary_split.files import read_secret
    from binary_split.keyservice.state import open_state
    from binary_split.model import Fragment

    fragment = Fragment(read_secret(fragment_file, what="fragment", max_bytes=LIMITS.fragment_bytes))
    with closing(open_state(state)) as store:
        store.keys.add(key_id, fragment)
    say(f"key {key_id} imported: {len(fragment)} bytes")


@key.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_option
def list_(as_json: bool, state: Path) -> None:
    """List the keys: name and time of creation."""
    from binary_split.keyservice.state import open_state

    with closing(open_state(state)) as store:
        records = store.keys.list()
    if as_json:
        emit_json([{"key_id": record.key_id, "created": record.created.isoformat()} for record in records])
        return
    width = max((len(record.key_id) for record in records), default=0)
    for record in records:
        emit(f"{record.key_id:<{width}}  {record.created.isoformat()}")
