"""``binary-split inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from binary_split.archive.age import parse_fragment_stanzas, read_header
from binary_split.archive.cbc import CbcReader
from binary_split.archive.detect import ArchiveFormat, read_format
from binary_split.cli.access import (
    identity_option,
    load_trust,
    read_identities,
    trust_options,
)
from binary_split.cli.archive_place import archive_place
from binary_split.cli.fragments import FragmentOrigin, fragment_files_option
from binary_split.cli.options import json_option
from binary_split.cli.output import emit, emit_json
from binary_split.config import load_settings
from binary_split.errors import ArchiveDamagedError, ArchiveFormatError, ConfigError
from binary_split.model import Fragment
from binary_split.oci.image_tar import ImageContents, ImageTar
from binary_split.oci.release_contents import ReleaseContents
from binary_split.sizes import format_size
from binary_split.transports import ArchiveLocation, open_source
from binary_split.unlock.opening import Trust, open_release

if TYPE_CHECKING:
    from binary_split.transports import Source


@click.command("inspect")
@archive_place()
@fragment_files_option
@identity_option
@trust_options
@json_option
def inspect(
    archive: ArchiveLocation,
    fragment_files: tuple[FragmentOrigin, ...],
    identity_files: tuple[Path, ...],
    trusted_keys: tuple[Path, ...],
    trusted_folder: Path | None,
    allow_unsigned: bool,
    as_json: bool,
) -> None:
    """Show an archive's format, size and who can open it; with a fragment or identity also what it holds.

    ARCHIVE is a file, NAME.001 of one in parts, https://… or oci://HOST/REPOSITORY:TAG.

    Only headers and documents are read, so it is quick at any size. A signature is checked where a trusted
    key is given; else what is shown is the archive's own word.
    """
    settings = load_settings()
    with open_source(archive) as source:
        archive_format = read_format(source)
        facts: dict[str, Any] = {
            "archive": str(archive),
            "format": str(archive_format),
            "size_bytes": source.seek(0, 2),
            "authenticated": archive_format is ArchiveFormat.AGE,
        }
        source.seek(0)
        if archive_format is ArchiveFormat.AGE:
            facts |= _describe_header(source)
            source.seek(0)
            if fragment_files or identity_files:
                trust = load_trust(settings, trusted_keys, trusted_folder, allow_unsigned)
                # without a key to check by, what is there is shown and called unverified
                reading = trust if trust.keys else Trust(allow_unsigned=True)
                with open_release(
                    source, read_identities(identity_files, fragment_files), reading
                ) as contents:
                    facts |= _describe_release(contents, is_verified=not reading.allow_unsigned)
        elif fragment_files or identity_files:
            if len(fragment_files) != 1 or identity_files:
                raise ConfigError("a cbc archive is opened by one fragment")
            facts |= _open_cbc(source, fragment_files[0].fetch())
    if as_json:
        emit_json(facts)
    else:
        _print(facts)


def _describe_header(source: Source) -> dict[str, Any]:
    stanzas = read_header(source).stanzas
    return {
        "stanzas": [stanza.kind for stanza in stanzas],
        "key_ids": [stanza.key_id for stanza in parse_fragment_stanzas(stanzas)],
    }


def _describe_release(contents: ReleaseContents, *, is_verified: bool) -> dict[str, Any]:
    statement = contents.statement
    return {
        "signature_verified": is_verified,
        "product": statement.product,
        "version": statement.version,
        "sequence": statement.sequence,
        "created": statement.created.isoformat(),
        **_describe_images(contents),
    }


def _open_cbc(source: Source, fragment: Fragment) -> dict[str, Any]:
    try:
        reader = CbcReader(source, fragment)
        return {"plain_bytes": reader.size, **_describe_images(ImageTar(reader))}
    except ArchiveFormatError as error:
        raise ArchiveDamagedError from error


def _describe_images(contents: ImageContents) -> dict[str, Any]:
    sizes = {name: contents.members[name].size for image in contents.images for name in image.layers}
    layer_bytes = sum(sizes.values())
    counted = sum(sizes[name] for image in contents.images for name in image.layers)
    return {
        "layers": len(sizes),
        "layer_bytes": layer_bytes,
        "shared_bytes": counted - layer_bytes,
        "images": [
            {
                "refs": [str(ref) for ref in image.refs],
                "id": str(image.config.digest),
                "platform": image.config.platform,
                "layers": [str(diff_id) for diff_id in image.config.diff_ids],
                "layer_bytes": sum(sizes[name] for name in image.layers),
            }
            for image in contents.images
        ],
    }


def _print(facts: dict[str, Any]) -> None:
    emit(f"format         {facts['format']}")
    emit(f"size           {format_size(facts['size_bytes'])} ({facts['size_bytes']} bytes)")
    no = "no: pin the image ids when unlocking"
    emit(f"authenticated  {'by its format' if facts['authenticated'] else no}")
    if "stanzas" in facts:
        emit(f"opened by      {', '.join(facts['stanzas'])}")
        emit(f"key-ids        {', '.join(facts['key_ids']) or 'none'}")
    if "version" in facts:
        emit(f"release        {facts['product']} {facts['version']}, sequence {facts['sequence']}")
        emit(f"created        {facts['created']}")
        emit(f"signature      {'by a trusted key' if facts['signature_verified'] else 'not verified'}")
    if "images" not in facts:
        return
    shared = format_size(facts["shared_bytes"])
    emit(f"layers         {facts['layers']}, {format_size(facts['layer_bytes'])}; sharing saves {shared}")
    for image in facts["images"]:
        refs = ", ".join(image["refs"])
        emit(f"image          {refs}  {image['platform']}  {format_size(image['layer_bytes'])}")
        emit(f"               {image['id']}")
