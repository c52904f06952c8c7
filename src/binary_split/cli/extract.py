"""``binary-split extract``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from binary_split.cli.access import (
    identity_option,
    load_trust,
    open_trusted,
    trust_options,
)
from binary_split.cli.fragments import FragmentOrigin, fragment_files_option
from binary_split.cli.output import say
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.config import load_settings
from binary_split.engines import open_engine
from binary_split.errors import ConfigError
from binary_split.files import write_atomically
from binary_split.model import Progress, ProgressSink
from binary_split.oci.layout import LayoutTar
from binary_split.sizes import format_count, format_size
from binary_split.unlock.opening import pin_release
from binary_split.unlock.plan import build_tar, plan_images


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    metavar="TARGET",
    help="`oci:DIR` or `docker-archive:FILE`: the images in plaintext.",
)
@fragment_files_option
@identity_option
@trust_options
@progress_option
def extract(
    archive: Path,
    target: str,
    fragment_files: tuple[FragmentOrigin, ...],
    identity_files: tuple[Path, ...],
    trusted_keys: tuple[Path, ...],
    trusted_folder: Path | None,
    allow_unsigned: bool,
    progress: Mode,
) -> None:
    """Take the images out of an `age` archive, every digest checked, without an engine."""
    kind, _, path = target.partition(":")
    if kind not in {"oci", "docker-archive"} or not path:
        raise ConfigError(f"-o {target!r} is no target", hint="Use `oci:DIR` or `docker-archive:FILE`.")
    trust = load_trust(load_settings(), trusted_keys, trusted_folder, allow_unsigned)
    hint = "Use `decrypt`, or `unlock --engine oci:DIR` with --image-id."
    with (
        show_progress(progress) as report,
        open_trusted(archive, trust, identity_files, fragment_files, hint=hint) as contents,
    ):
        pins = pin_release(contents.statement, version=None)
        tar = build_tar(contents, plan_images(contents, pins, pins))
        if kind == "oci":
            open_engine(target).load(_counted(tar, report))
        else:
            with write_atomically(Path(path)) as sink:
                for chunk in _counted(tar, report):
                    sink.write(chunk)
    say(f"extracted {format_count(len(pins), 'image')}, {format_size(tar.size)}, to {target}")


def _counted(tar: LayoutTar, report: ProgressSink) -> Iterator[bytes | memoryview]:
    done = 0
    for chunk in tar.chunks():
        yield chunk
        done += len(chunk)
        report(Progress("extracting", done, tar.size))
