"""``binary-split verify``."""

from __future__ import annotations

from pathlib import Path

import click

from binary_split.cli.access import (
    identity_option,
    load_trust,
    open_trusted,
    trust_options,
)
from binary_split.cli.fragments import FragmentOrigin, fragment_files_option
from binary_split.cli.journal import locked_journal, state_option
from binary_split.cli.options import engine_option, json_option
from binary_split.cli.output import emit_json, say
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.config import load_settings
from binary_split.engines import open_engine
from binary_split.errors import ConfigError
from binary_split.sizes import format_count, format_size
from binary_split.unlock.proving import choose_installed, prove_installed
from binary_split.unlock.records import InstalledRelease
from binary_split.unlock.verifying import verify_layers


@click.command()
@click.argument("archive", type=click.Path(path_type=Path), required=False)
@fragment_files_option
@identity_option
@trust_options
@engine_option
@click.option(
    "--deep", is_flag=True, help="With --engine: have it export the images, and digest every layer."
)
@click.option("--product", metavar="P", help="With --engine: of which product; default: installed last.")
@click.option("--version", metavar="V", help="With --engine: which version; default: installed last.")
@state_option
@progress_option
@json_option
def verify(
    archive: Path | None,
    fragment_files: tuple[FragmentOrigin, ...],
    identity_files: tuple[Path, ...],
    trusted_keys: tuple[Path, ...],
    trusted_folder: Path | None,
    allow_unsigned: bool,
    engine: str | None,
    deep: bool,
    product: str | None,
    version: str | None,
    state: Path | None,
    progress: Mode,
    as_json: bool,
) -> None:
    """Prove an archive: its signature, every chunk, every digest. The exit code says which proof failed.

    Without an ARCHIVE and with --engine: prove a release that was installed there.
    """
    settings = load_settings()
    if (archive is None) == (engine is None):
        raise ConfigError("one thing is verified: an ARCHIVE, or what is in an --engine")
    trust = load_trust(settings, trusted_keys, trusted_folder, allow_unsigned)
    if archive is None:
        target = open_engine(engine)
        with show_progress(progress) as report, locked_journal(target, state, settings) as journal:
            release = choose_installed(journal.read_releases(), product=product, version=version, trust=trust)
            prove_installed(target, release, deep=deep, report=report)
        _tell_installed(release, as_json=as_json, deep=deep)
        return
    hint = "`unlock` proves its images by --image-id or by a signed statement beside it."
    with (
        show_progress(progress) as report,
        open_trusted(archive, trust, identity_files, fragment_files, hint=hint) as contents,
    ):
        verify_layers(contents, report=report)
        statement = contents.statement
    size = sum(blob.size for blob in statement.blobs)
    if as_json:
        emit_json(
            {
                "archive": str(archive),
                "verified": True,
                "signature_checked": not allow_unsigned,
                "product": statement.product,
                "version": statement.version,
                "sequence": statement.sequence,
                "images": [str(image.ref) for image in statement.images],
            }
        )
        return
    signed = "unsigned, as allowed" if allow_unsigned else "signed by a trusted key"
    say(
        f"{statement.product} {statement.version}: {signed}; {format_count(len(statement.images), 'image')}, "
        f"{format_count(len(statement.blobs), 'blob')}, {format_size(size)}, all as stated"
    )


def _tell_installed(release: InstalledRelease, *, as_json: bool, deep: bool) -> None:
    refs = [str(image.ref) for image in release.images]
    if as_json:
        emit_json(
            {
                "verified": True,
                "deep": deep,
                "product": release.product,
                "version": release.version,
                "sequence": release.sequence,
                "installed": release.installed,
                "images": refs,
            }
        )
        return
    name = " ".join(filter(None, (release.product, release.version))) or "the release"
    proof = "every layer was read and matches" if deep else "all in the engine by digest"
    say(f"{name}: {format_count(len(refs), 'image')}, {proof}")
