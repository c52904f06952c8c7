"""Removing old releases: those that we installed, and of them what is still ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from binary_split.engines import Engine
from binary_split.errors import EngineImageInUseError
from binary_split.model import ImageRef
from binary_split.unlock.journal import Journal
from binary_split.unlock.records import InstalledRelease


@dataclass(frozen=True, slots=True)
class PrunedRelease:
    """What became of an old release.

    Attributes:
        removed: references that were removed, and with them what no other image needs.
        in_use: references that stay, since containers use their images; the release stays in the journal.
        foreign: references that stay, since they now name images that are not the release's.
    """

    release: InstalledRelease
    removed: tuple[ImageRef, ...]
    in_use: tuple[ImageRef, ...]
    foreign: tuple[ImageRef, ...]


def find_old(releases: Sequence[InstalledRelease], keep: int) -> tuple[InstalledRelease, ...]:
    """Return all but the ``keep`` releases of each product that were installed last, oldest first."""
    by_product: dict[str | None, list[InstalledRelease]] = {}
    for release in releases:
        by_product.setdefault(release.product, []).append(release)
    old = {release.archive for row in by_product.values() for release in row[: max(0, len(row) - keep)]}
    return tuple(release for release in releases if release.archive in old)


def prune(engine: Engine, journal: Journal, *, keep: int, dry_run: bool = False) -> tuple[PrunedRelease, ...]:
    """Remove old releases from an engine, under the journal's lock.

    Args:
        engine: where from.
        journal: of that engine: what is not in it is not touched.
        keep: how many releases of each product stay; at least one.
        dry_run: only say what would be removed.

    Raises:
        ValueError: nothing would stay.
        EngineError: the engine failed; what was not removed is still in the journal.
    """
    if keep < 1:
        raise ValueError("at least one release stays")
    releases = journal.read_releases()
    old = find_old(releases, keep)
    kept = {image.ref for release in releases if release not in old for image in release.images}
    pruned = []
    for release in old:
        found = _remove(engine, release, kept, dry_run=dry_run)
        if not found.in_use and not dry_run:
            journal.remove_release(release)
        pruned.append(found)
    return tuple(pruned)


def _remove(
    engine: Engine, release: InstalledRelease, kept: set[ImageRef], *, dry_run: bool
) -> PrunedRelease:
    id_kind = engine.describe().id_kind
    removed, in_use, foreign = [], [], []
    for image in release.images:
        there = None if image.ref in kept else engine.find_image(image.ref)
        if there is None:
            continue
        if not image.is_met_by(there, id_kind):
            foreign.append(image.ref)
            continue
        try:
            if not dry_run:
                engine.untag(image.ref)
            removed.append(image.ref)
        except EngineImageInUseError:
            in_use.append(image.ref)
    return PrunedRelease(release, tuple(removed), tuple(in_use), tuple(foreign))
