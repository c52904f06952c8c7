"""``binary-split prune``."""

from __future__ import annotations

from pathlib import Path

import click

from binary_split.cli.journal import locked_journal, state_option
from binary_split.cli.options import engine_option, json_option
from binary_split.cli.output import emit_json, say, warn
from binary_split.config import load_settings
from binary_split.engines import open_engine
from binary_split.errors import EngineImageInUseError
from binary_split.model import ImageRef
from binary_split.unlock.pruning import PrunedRelease
from binary_split.unlock.pruning import prune as run_prune


@click.command()
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="How many releases of each product stay.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@engine_option
@state_option
@json_option
def prune(keep: int, dry_run: bool, engine: str | None, state: Path | None, as_json: bool) -> None:
    """Remove old releases from the engine: those that `unlock` installed, and nothing else.

    Images that containers use stay, and the exit code is 47 then.
    """
    settings = load_settings()
    target = open_engine(engine or settings.engine)
    with locked_journal(target, state, settings) as journal:
        pruned = run_prune(target, journal, keep=keep, dry_run=dry_run)
    if as_json:
        emit_json({"dry_run": dry_run, "releases": [_describe(row) for row in pruned]})
    else:
        _tell(pruned, "would be removed" if dry_run else "removed")
    in_use = [str(ref) for row in pruned for ref in row.in_use]
    if in_use:
        raise EngineImageInUseError(f"containers use {', '.join(in_use)}")


def _describe(row: PrunedRelease) -> dict[str, object]:
    return {
        "product": row.release.product,
        "version": row.release.version,
        "removed": _texts(row.removed),
        "in_use": _texts(row.in_use),
        "foreign": _texts(row.foreign),
    }


def _tell(pruned: tuple[PrunedRelease, ...], done: str) -> None:
    if not pruned:
        say("nothing to remove: no release that was installed is old enough")
    for row in pruned:
        name = " ".join(filter(None, (row.release.product, row.release.version))) or row.release.archive
        say(f"{name}: {done}: {', '.join(_texts(row.removed)) or 'nothing'}")
        if row.foreign:
            warn(f"{', '.join(_texts(row.foreign))}: another image has that name now; it stays")


def _texts(refs: tuple[ImageRef, ...]) -> list[str]:
    return [str(ref) for ref in refs]
