"""``binary-split check``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from binary_split.cli.journal import open_settled_engine, state_option
from binary_split.cli.options import engine_option, image_id_option, image_option, json_option, version_option
from binary_split.cli.output import emit, emit_json
from binary_split.config import load_settings
from binary_split.engines import Engine, EngineImage, IdKind
from binary_split.errors import ImageMismatchError, ImageMissingError
from binary_split.model import Digest, ImagePins, ImageRef
from binary_split.unlock.checking import read_config_digests
from binary_split.unlock.pins import choose_images, parse_image_ids


@click.command()
@version_option
@image_option
@image_id_option
@engine_option
@state_option
@json_option
def check(
    version: str,
    images: tuple[str, ...],
    image_ids: tuple[str, ...],
    engine: str | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Say whether all images of a release are in the engine.

    The exit code is 52 if one is missing, 53 if one is another image than --image-id names.
    """
    settings = load_settings()
    pins = parse_image_ids(image_ids, version, settings)
    target = open_settled_engine(engine, state, settings)
    found = {ref: target.find_image(ref) for ref in choose_images(images, version, pins)}
    present = {ref: image for ref, image in found.items() if image is not None}
    digests = _config_digests(target, present, pins)
    rows: list[dict[str, str | None]] = []
    for ref in found:
        status = "missing"
        if ref in present:
            status = "present" if pins.get(ref) in {None, digests.get(ref)} else "other"
        rows.append(
            {"ref": str(ref), "status": status, "id": str(present[ref].id) if ref in present else None}
        )
    if as_json:
        emit_json(
            {"version": version, "complete": all(row["status"] == "present" for row in rows), "images": rows}
        )
    else:
        width = max(len(str(row["ref"])) for row in rows)
        for row in rows:
            emit(f"{row['status']:<8} {row['ref']:<{width}}  {row['id'] or ''}".rstrip())
    _raise_unless_complete(rows)


def _config_digests(
    engine: Engine, present: Mapping[ImageRef, EngineImage], pins: ImagePins
) -> Mapping[ImageRef, Digest]:
    """Return the digests to compare with the pins; an engine that shows none is made to export its images."""
    if engine.describe().id_kind is IdKind.CONFIG:
        return {ref: image.id for ref, image in present.items()}
    return read_config_digests(engine, (ref for ref in present if ref in pins))


def _raise_unless_complete(rows: list[dict[str, str | None]]) -> None:
    for status, kind, words in (
        ("other", ImageMismatchError, "not the image that --image-id names"),
        ("missing", ImageMissingError, "not in the engine"),
    ):
        names = [str(row["ref"]) for row in rows if row["status"] == status]
        if names:
            raise kind(f"{', '.join(names)}: {words}")
