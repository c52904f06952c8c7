"""Which journal a command uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from binary_split.config import Settings, default_state_folder
from binary_split.engines import open_engine

if TYPE_CHECKING:
    from binary_split.engines import Engine
    from binary_split.unlock.journal import Journal

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the journal [env: BINARY_SPLIT_STATE].",
)


@contextmanager
def locked_journal(engine: Engine, folder: Path | None, settings: Settings) -> Iterator[Journal]:
    """Give an engine's journal to its only user, with what an earlier run has left brought to its end."""
    from binary_split.unlock.transaction import recover

    journal = open_journal(engine, folder, settings)
    with journal.locked():
        recover(engine, journal)
        yield journal


def open_settled_engine(name: str | None, folder: Path | None, settings: Settings) -> Engine:
    """Connect to an engine, and bring to its end what an unlock that was killed has left there.

    Raises:
        ConfigError: there is no engine of that name.
        EngineError: it does not answer.
        JournalError: there is something to be ended, and the journal cannot be used.
    """
    engine = open_engine(name or settings.engine)
    if open_journal(engine, folder, settings).is_unsettled():
        with locked_journal(engine, folder, settings):
            pass
    return engine


def open_journal(engine: Engine, folder: Path | None, settings: Settings) -> Journal:
    """Return the journal of an engine; nothing is made or read yet."""
    from binary_split.unlock.journal import Journal

    return Journal(folder or settings.state or default_state_folder(), engine.describe())
