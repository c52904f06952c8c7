"""Which journal a command uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from binary_split.config import Settings, default_state_folder

if TYPE_CHECKING:
    from binary_split.engines import Engine
    from binary_split.unlock.journal import Journal

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the journal [env: BINARY_SPLIT_STATE].",
)


def open_journal(engine: Engine, folder: Path | None, settings: Settings) -> Journal:
    """Return the journal of an engine; nothing is made or read yet."""
    from binary_split.unlock.journal import Journal

    return Journal(folder or settings.state or default_state_folder(), engine.describe())
