"""``binary-split split``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
from cryptography.hazmat.primitives import hashes

from binary_split.cli.options import json_option
from binary_split.cli.output import emit_json, say
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.config import LIMITS
from binary_split.errors import ArchiveDamagedError, ArchiveUnreadableError, ConfigError
from binary_split.files import write_atomically
from binary_split.model import Progress, ProgressSink
from binary_split.sizes import format_count, format_size, parse_size
from binary_split.transports.file import FileSource
from binary_split.transports.part_list import SUFFIX, ArchivePart, part_name, serialise_part_list


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "--size",
    metavar="SIZE",
    default="3900M",
    show_default=True,
    help="Bytes of a part, or as split(1) has it: 700M, 2G. FAT32 takes 3900M.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the parts go; default: beside the archive.",
)
@progress_option
@json_option
def split(archive: Path, size: str, folder: Path | None, progress: Mode, as_json: bool) -> None:
    """Split an archive into NAME.001, NAME.002, … for media that take no large files.

    Every command that reads an archive takes NAME.001 for all of them, by URL too; `cat NAME.0*` is the
    archive again. NAME.parts.json beside them says which parts there are and what their digests must be.
    """
    part_bytes = parse_size(size)
    folder = folder or archive.parent
    with show_progress(progress) as report, FileSource(archive) as source:
        total = source.seek(0, 2)
        source.seek(0)
        if not total:
            raise ArchiveDamagedError(f"{archive} is empty", hint="Copy the archive again.")
        if -(-total // part_bytes) > LIMITS.archive_parts:
            raise ConfigError(f"more than {LIMITS.archive_parts} parts", hint="Make them larger with --size.")
        parts: list[ArchivePart] = []
        try:
            parts.extend(_write_parts(source, archive.name, folder, part_bytes, total, report))
            with write_atomically(folder / f"{archive.name}{SUFFIX}") as file:
                file.write(serialise_part_list(tuple(parts)))
        except BaseException:
            for part in parts:
                with suppress(OSError):
                    (folder / part.name).unlink()
            raise
    if as_json:
        rows = [{"name": part.name, "size": part.size, "sha256": part.sha256} for part in parts]
        emit_json({"archive": str(archive), "size": total, "parts": rows})
    else:
        say(f"split {format_size(total)} into {format_count(len(parts), 'part')}: {folder / parts[0].name} …")


def _write_parts(
    source: FileSource, name: str, folder: Path, part_bytes: int, total: int, report: ProgressSink
) -> Iterator[ArchivePart]:
    done = 0
    while done < total:
        part = part_name(name, done // part_bytes + 1)
        state, left = hashes.Hash(hashes.SHA256()), min(part_bytes, total - done)
        size = left
        with write_atomically(folder / part) as file:
            while left and (chunk := source.read(min(left, LIMITS.chunk_bytes))):
                state.update(chunk)
                file.write(chunk)
                left -= len(chunk)
                done += len(chunk)
                report(Progress("splitting", done, total))
        yield ArchivePart(part, size - left, state.finalize().hex())
        if left:
            raise ArchiveUnreadableError("the archive became shorter while it was split")
