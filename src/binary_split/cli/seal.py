"""``binary-split seal``."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

import click

from binary_split.cli.options import (
    FILE,
    format_size,
    image_option,
    json_option,
    parse_images,
    read_fragment,
    version_option,
)
from binary_split.cli.output import emit, emit_json, say
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.engines import open_engine
from binary_split.errors import ConfigError
from binary_split.files import write_atomically
from binary_split.model import Release
from binary_split.sealing import Export, SealedArchive, export_docker_archive, seal_cbc


@click.command()
@click.option("--format", "archive_format", type=click.Choice(["cbc"]), default="cbc", show_default=True)
@version_option
@image_option
@click.option(
    "--from",
    "origin",
    default="docker",
    metavar="SOURCE",
    show_default=True,
    help="Where the images are: `docker`, `docker-archive:FILE` or `oci:DIR`.",
)
@click.option(
    "--fragment-file", type=FILE, required=True, metavar="F", help="The fragment, byte-exact; - for stdin."
)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="The archive; - for stdout.")
@progress_option
@json_option
def seal(
    archive_format: str,
    version: str,
    images: tuple[str, ...],
    origin: str,
    fragment_file: Path,
    output: Path,
    progress: Mode,
    as_json: bool,
) -> None:
    """Seal a release's images into one archive.

    The images go from the engine through the cipher into the file: no plaintext touches the disk. Before the
    archive appears it is checked that every image is in it, whole. Then their ids are printed: give them to
    `unlock` as --image-id, by a way that you trust.
    """
    is_stdout = str(output) == "-"
    as_json = as_json or progress == "json"
    if is_stdout and as_json:
        raise ConfigError("stdout cannot take both the archive and JSON", hint="Write the archive to a file.")
    release = Release(version, parse_images(images, version))
    sink = nullcontext(sys.stdout.buffer) if is_stdout else write_atomically(output)
    with show_progress(progress) as report:
        fragment = read_fragment(fragment_file)
        export, total = _open_origin(origin)
        with sink as file:
            sealed = seal_cbc(release, export, fragment, file, report=report, total=total)
    if as_json:
        emit_json(_describe(sealed, release, archive_format, output))
        return
    say(f"sealed {len(sealed.images)} images, {format_size(sealed.plain_size)}, into {output}")
    say("their ids, for `unlock`:")
    for image in sealed.images:
        line = f"--image-id {image.ref}={image.digest}"
        say(line) if is_stdout else emit(line)


def _open_origin(origin: str) -> tuple[Export, int | None]:
    kind, _, path = origin.partition(":")
    if kind == "docker-archive" and path:
        return export_docker_archive(Path(path))
    if kind not in {"docker", "oci"}:
        raise ConfigError(
            f"--from {origin!r} is no source", hint="Use `docker`, `docker-archive:FILE` or `oci:DIR`."
        )
    return open_engine(origin).save, None


def _describe(
    sealed: SealedArchive, release: Release, archive_format: str, output: Path
) -> dict[str, object]:
    return {
        "archive": str(output),
        "format": archive_format,
        "version": release.version,
        "plain_bytes": sealed.plain_size,
        "archive_bytes": output.stat().st_size,
        "images": [
            {"ref": str(image.ref), "id": str(image.digest), "platform": image.platform}
            for image in sealed.images
        ],
    }
