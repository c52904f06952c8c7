"""``binary-split inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from binary_split.archive.cbc import CbcReader
from binary_split.archive.detect import ArchiveFormat, detect_format
from binary_split.cli.options import format_size, fragment_file_option, json_option, read_fragment
from binary_split.cli.output import emit, emit_json
from binary_split.errors import ArchiveDamagedError, ArchiveFormatError
from binary_split.model import Fragment
from binary_split.oci.image_tar import ImageTar
from binary_split.transports.file import FileSource


@click.command("inspect")
@click.argument("archive", type=click.Path(path_type=Path))
@fragment_file_option
@json_option
def inspect(archive: Path, fragment_file: Path | None, as_json: bool) -> None:
    """Show an archive's format and size; with the fragment also its images and their ids.

    Only headers and documents are read, so it is quick at any size.
    """
    fragment = read_fragment(fragment_file) if fragment_file is not None else None
    with FileSource(archive) as source:
        size = source.seek(0, 2)
        source.seek(0)
        archive_format = detect_format(source.read(64), size)
        facts: dict[str, Any] = {
            "archive": str(archive),
            "format": str(archive_format),
            "size_bytes": size,
            "authenticated": archive_format is ArchiveFormat.AGE,
        }
        if fragment is not None and archive_format is ArchiveFormat.CBC:
            facts |= _open(source, fragment)
    if archive_format is ArchiveFormat.UNKNOWN:
        raise ArchiveFormatError(f"{archive} is no archive: none is {size} bytes long")
    if as_json:
        emit_json(facts)
    else:
        _print(facts)


def _open(source: FileSource, fragment: Fragment) -> dict[str, Any]:
    try:
        reader = CbcReader(source, fragment)
        tar = ImageTar(reader)
    except ArchiveFormatError as error:
        raise ArchiveDamagedError from error
    shared = {name: tar.members[name].size for image in tar.images for name in image.layers}
    return {
        "plain_bytes": reader.size,
        "layers": len(shared),
        "layer_bytes": sum(shared.values()),
        "images": [
            {
                "refs": [str(ref) for ref in image.refs],
                "id": str(image.config.digest),
                "platform": image.config.platform,
                "layers": [str(diff_id) for diff_id in image.config.diff_ids],
                "layer_bytes": sum(tar.members[name].size for name in image.layers),
            }
            for image in tar.images
        ],
    }


def _print(facts: dict[str, Any]) -> None:
    emit(f"format         {facts['format']}")
    emit(f"size           {format_size(facts['size_bytes'])} ({facts['size_bytes']} bytes)")
    emit(f"authenticated  {'yes' if facts['authenticated'] else 'no: pin the image ids when unlocking'}")
    if "images" not in facts:
        return
    emit(f"layers         {facts['layers']}, {format_size(facts['layer_bytes'])}, each counted once")
    for image in facts["images"]:
        refs = ", ".join(image["refs"])
        emit(f"image          {refs}  {image['platform']}  {format_size(image['layer_bytes'])}")
        emit(f"               {image['id']}")
