"""The option that every command of the key service has: where its state is."""

from __future__ import annotations

from pathlib import Path

import click

state_option = click.option(
    "--state",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="BINARY_SPLIT_KEYSERVICE_STATE",
    default=Path("/var/lib/binary-split/keyservice"),
    show_default=True,
    show_envvar=True,
    help="The key service's state folder.",
)
