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
from binary_split.cli.options import format_size, json_option
from binary_split.cli.output import emit_json, say
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.config import load_settings
from binary_split.unlock.verifying import verify_layers


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@fragment_files_option
@identity_option
@trust_options
@progress_option
@json_option
def verify(
    archive: Path,
    fragment_files: tuple[FragmentOrigin, ...],
    identity_files: tuple[Path, ...],
    trusted_keys: tuple[Path, ...],
    trusted_folder: Path | None,
    allow_unsigned: bool,
    progress: Mode,
    as_json: bool,
) -> None:
    """Prove an archive: its signature, every chunk, every digest. The exit code says which proof failed."""
    trust = load_trust(load_settings(), trusted_keys, trusted_folder, allow_unsigned)
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
        f"{statement.product} {statement.version}: {signed}; {len(statement.images)} images, "
        f"{len(statement.blobs)} blobs, {format_size(size)}, all as stated"
    )
