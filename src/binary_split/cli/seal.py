"""``binary-split seal``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from binary_split.cli.options import FILE, image_option, json_option
from binary_split.cli.output import emit, emit_json, say, warn
from binary_split.cli.progress import Mode, progress_option, show_progress
from binary_split.cli.sealjob import SealJob, choose_sealer, write_archive
from binary_split.config import LIMITS
from binary_split.engines import open_engine
from binary_split.environment import source_date_epoch
from binary_split.errors import ConfigError
from binary_split.files import read_secret
from binary_split.model import Release
from binary_split.oci.compression import Compression
from binary_split.oci.publisher_key import PrivateKey, parse_passphrase
from binary_split.sealing import Export, SealedArchive, export_docker_archive
from binary_split.sizes import format_count, format_size
from binary_split.unlock.pins import parse_images

_COMPRESSIONS = {"zstd": Compression.ZSTD, "gzip": Compression.GZIP, "none": Compression.NONE}


@click.command()
@click.option(
    "--format",
    "archive_format",
    type=click.Choice(["age", "cbc"]),
    default="age",
    show_default=True,
    help="`age`: authenticated and signed. `cbc`: the original, for devices that know no other.",
)
@click.option("--version", required=True, metavar="V", help="Version of the release: the tag of its images.")
@image_option
@click.option(
    "--from",
    "origin",
    default="docker",
    metavar="SOURCE",
    show_default=True,
    help="Where the images are: `docker`, `podman`, `docker-archive:FILE` or `oci:DIR`.",
)
@click.option("--platform", metavar="OS/ARCH", help="Take this platform, of images that are for several.")
@click.option(
    "--key-id",
    "key_ids",
    multiple=True,
    metavar="ID",
    help="Name of the fragment in the --fragment-file of the same place; repeat both for several.",
)
@click.option(
    "--fragment-file",
    "fragment_files",
    type=FILE,
    multiple=True,
    metavar="F",
    help="A fragment that opens the archive, byte-exact; - for stdin.",
)
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    metavar="age1…",
    help="An age recipient that can open it too, such as a recovery key; repeat for several.",
)
@click.option("--sign", "signing_key", type=FILE, metavar="KEY", help="Sign the release with this key.")
@click.option("--passphrase-file", type=FILE, metavar="F", help="The signing key's passphrase; - for stdin.")
@click.option("--product", default="release", show_default=True, metavar="NAME", help="Whose release it is.")
@click.option(
    "--sequence",
    type=click.IntRange(0, 2**53 - 1),
    metavar="N",
    help="Grows with each release of the product. Default: the time, in seconds since 1970.",
)
@click.option(
    "--compress",
    type=click.Choice(list(_COMPRESSIONS)),
    default="zstd",
    show_default=True,
    help="How layers are compressed where that saves 5 %; engines before Docker 25 load gzip and none.",
)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="The archive; - for stdout.")
@progress_option
@json_option
def seal(
    archive_format: str,
    version: str,
    images: tuple[str, ...],
    origin: str,
    platform: str | None,
    key_ids: tuple[str, ...],
    fragment_files: tuple[Path, ...],
    recipients: tuple[str, ...],
    signing_key: Path | None,
    passphrase_file: Path | None,
    product: str,
    sequence: int | None,
    compress: str,
    output: Path,
    progress: Mode,
    as_json: bool,
) -> None:
    """Seal a release's images into one archive.

    No plaintext touches the disk, and the archive appears only when every image is in it, whole. The images'
    ids are printed: a device needs them, by a way that you trust, for a `cbc` archive that is not signed.
    """
    as_json = as_json or progress == "json"
    if str(output) == "-" and as_json:
        raise ConfigError("stdout cannot take both the archive and JSON", hint="Write the archive to a file.")
    now = source_date_epoch() or int(datetime.now(UTC).timestamp())
    with show_progress(progress) as report:
        job = SealJob(
            archive_format,
            Release(version, parse_images(images, version)),
            product,
            now if sequence is None else sequence,
            datetime.fromtimestamp(now, UTC),
            _read_key(signing_key, passphrase_file),
            output,
        )
        sealer = choose_sealer(job, key_ids, fragment_files, recipients, _COMPRESSIONS[compress], platform)
        export, total = _open_origin(origin, platform)
        sealed = write_archive(job, sealer, export, total, report)
    _report(job, sealed, as_json)


def _read_key(path: Path | None, passphrase_file: Path | None) -> PrivateKey | None:
    if path is None:
        return None
    passphrase = None
    if passphrase_file is not None:
        most = LIMITS.passphrase_bytes + len("\r\n")
        passphrase = parse_passphrase(read_secret(passphrase_file, what="passphrase", max_bytes=most))
    pem = read_secret(path, what="signing key", max_bytes=LIMITS.publisher_key_bytes)
    return PrivateKey.parse(pem, passphrase)


def _open_origin(origin: str, platform: str | None) -> tuple[Export, int | None]:
    kind, _, path = origin.partition(":")
    if kind == "docker-archive" and path:
        return export_docker_archive(Path(path))
    if kind not in {"docker", "podman", "oci"}:
        raise ConfigError(
            f"--from {origin!r} is no source",
            hint="Use `docker`, `podman`, `docker-archive:FILE` or `oci:DIR`.",
        )
    return open_engine(origin, platform=platform).save, None


def _report(job: SealJob, sealed: SealedArchive, as_json: bool) -> None:
    if as_json:
        emit_json(_describe(job, sealed))
        return
    signer = f"signed by {job.key.key_id[:16]}…" if job.key else "not signed"
    what = f"{format_count(len(sealed.images), 'image')}, {format_size(sealed.plain_size)}"
    say(f"sealed {what}, into {job.output}, {signer}")
    if job.key is None and job.archive_format == "age":
        warn("devices refuse a release that is not signed: make a key with `binary-split keygen`, use --sign")
    for image in sealed.images:
        line = f"--image-id {image.ref}={image.digest}"
        say(line) if job.is_stdout else emit(line)


def _describe(job: SealJob, sealed: SealedArchive) -> dict[str, object]:
    stated: dict[str, object] = {}
    if job.archive_format == "age" or job.key:
        signer = job.key.key_id if job.key else None
        stated = {"product": job.product, "sequence": job.sequence, "signed_by": signer}
    return {
        "archive": str(job.output),
        "format": job.archive_format,
        "version": job.release.version,
        **stated,
        "plain_bytes": sealed.plain_size,
        "archive_bytes": job.output.stat().st_size,
        "images": [
            {"ref": str(image.ref), "id": str(image.digest), "platform": image.platform}
            for image in sealed.images
        ],
    }
