"""``binary-split token``: issue, revoke and list the key service's tokens."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binary_split.cli.output import emit, emit_json, say
from binary_split.cli.state_option import state_option

if TYPE_CHECKING:
    from binary_split.keyservice.tokens import TokenRecord

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def token() -> None:
    """Issue, revoke and list the key service's tokens."""


@token.command()
@click.option("--key", "key_id", metavar="KEY_ID", required=True, help="The key whose fragment it opens.")
@click.option("--expires", metavar="TIME", default="90d", show_default=True, help="90d, 12h or 30m.")
@click.option("--label", metavar="TEXT", default="", help="Whose it is, for people.")
@click.option("--out", metavar="F", type=_FILE, help="Write the token to this new file (mode 0600) instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_option
def issue(key_id: str, expires: str, label: str, out: Path | None, as_json: bool, state: Path) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    from binary_split.files import secret_output
    from binary_split.keyservice.state import open_state
    from binary_split.keyservice.tokens import parse_lifetime

    lifetime = parse_lifetime(expires)
    with closing(open_state(state)) as store:
        if out is None:
            issued = store.tokens.issue(key_id, lifetime=lifetime, label=label)
        else:
            with secret_output(out) as deliver:
                issued = store.tokens.issue(key_id, lifetime=lifetime, label=label, deliver=deliver)
    record = issued.record
    if as_json:
        place = {"token": issued.text} if out is None else {"token_file": str(out)}
        emit_json(_described(record) | place)
    elif out is None:
        emit(issued.text)
    say(f"token {record.token_id} for key {key_id}, expires {record.expires.isoformat()}")


@token.command()
@click.argument("token_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_option
def revoke(token_id: str, as_json: bool, state: Path) -> None:
    """Revoke the token with this id (tok_…, not the token itself): its next request is refused."""
    from binary_split.keyservice.state import open_state

    with closing(open_state(state)) as store:
        record = store.tokens.revoke(token_id)
    if as_json:
        emit_json(_described(record))
    say(f"token {token_id} is revoked")


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_option
def list_(as_json: bool, state: Path) -> None:
    """List the tokens: id, key, state, expiry and label; never the tokens themselves."""
    from binary_split.keyservice.state import open_state

    with closing(open_state(state)) as store:
        records = store.tokens.list()
        now = store.clock()
    if as_json:
        emit_json([_described(record) | {"state": record.state_at(now)} for record in records])
        return
    width = max((len(record.key_id or "-") for record in records), default=0)
    for record in records:
        line = f"{record.token_id}  {record.key_id or '-':<{width}}  {record.state_at(now):<7}"
        emit(f"{line}  {record.expires.isoformat()}  {record.label}".rstrip())


def _described(record: TokenRecord) -> dict[str, Any]:
    return {
        "token_id": record.token_id,
        "key_id": record.key_id,
        "label": record.label,
        "created": record.created.isoformat(),
        "expires": record.expires.isoformat(),
        "revoked": None if record.revoked is None else record.revoked.isoformat(),
    }
