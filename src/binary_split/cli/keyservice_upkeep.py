"""``binary-split keyservice``: rotate the key of the state, back it up, restore it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from binary_split.cli.options import NAMED_FILE, json_option
from binary_split.cli.output import emit_json, say
from binary_split.cli.state_option import state_option


@click.command("rotate-kek")
@click.option("--prepare", is_flag=True, help="Only make the new key, to be brought to other machines first.")
@json_option
@state_option
def rotate_kek(prepare: bool, as_json: bool, state: Path) -> None:
    """Seal every fragment under a new key-encryption key, while the service runs.

    Killed at any point, run it again: it goes on. The new key is beside the old one as kek.2 and so on;
    keep the old one as long as backups that need it.
    """
    from binary_split.keyservice import rotation
    from binary_split.keyservice.kek_making import create_next_kek
    from binary_split.keyservice.state import open_state, state_secrets

    secrets = state_secrets(state)
    with closing(open_state(state)) as store:
        keks = secrets.read_keks()
        if prepare:
            if rotation.find_unused_kek(store.ledger, keks) is None:
                create_next_kek(secrets)
            say(f"the new key is in {state}: bring it to every machine, then run without --prepare")
            return
        report = rotation.rotate_kek(store.ledger, store.ring, keks, lambda: create_next_kek(secrets))
    if as_json:
        emit_json(
            {
                "active": report.active,
                "retired": list(report.retired),
                "resealed": report.resealed,
                "was_resumed": report.was_resumed,
            }
        )
    say(f"{report.resealed} fragments sealed under {report.active}")


@click.command()
@click.argument("file", metavar="F", type=NAMED_FILE)
@state_option
def backup(file: Path, state: Path) -> None:
    """Copy the SQLite database to the new file F, while the service runs. The keys are not in it."""
    from binary_split.keyservice.backup import backup_database

    backup_database(state, file)
    say(f"database backed up to {file}; it needs the key-encryption key and the audit key of {state}")


@click.command()
@click.argument("file", metavar="F", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@state_option
def restore(file: Path, state: Path) -> None:
    """Make the SQLite database what it was in F, then revoke again what was revoked since.

    Stop the service first.
    """
    from binary_split.keyservice.backup import restore_database

    restore_database(state, file)
    _accept(state)


@click.command("accept-restore")
@state_option
def accept_restore(state: Path) -> None:
    """After a restore by other means, such as pg_restore: revoke again what was revoked since the backup."""
    _accept(state)


def _accept(state: Path) -> None:
    from binary_split.keyservice.restore import accept_restored
    from binary_split.keyservice.state import open_state

    with closing(open_state(state, accept_older=True)) as store:
        report = accept_restored(store.ledger)
    say(f"{report.lost_records} audit records are lost; {report.reapplied} rights are taken away again")
    if report.limited_grants:
        say(f"uses spent since the backup are there again in up to {report.limited_grants} limited grants")
