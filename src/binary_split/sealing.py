"""Sealing: images → archive, as one stream that is checked while it flows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from binary_split.archive.cbc import CbcWriter
from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError, ImageIncompleteError
from binary_split.model import Digest, Fragment, ImageRef, Progress, ProgressSink, Release, ignore_progress
from binary_split.oci.images import StoredImage, index_images
from binary_split.oci.scan import scan_images
from binary_split.transports.file import FileSource

Export = Callable[[tuple[ImageRef, ...]], Iterable[bytes | memoryview]]
"""Gives images as one tar."""


@dataclass(frozen=True, slots=True)
class SealedImage:
    """What went into an archive: an image's reference, its config digest (the pin) and its platform."""

    ref: ImageRef
    digest: Digest
    platform: str


@dataclass(frozen=True, slots=True)
class SealedArchive:
    """A finished archive.

    Attributes:
        plain_size: bytes of the image tar within.
    """

    images: tuple[SealedImage, ...]
    plain_size: int


def seal_cbc(
    release: Release,
    export: Export,
    fragment: Fragment,
    sink: BinaryIO,
    *,
    report: ProgressSink = ignore_progress,
    total: int | None = None,
) -> SealedArchive:
    """Encrypt a release's images from ``export`` into ``sink`` and check that all of them are in it, whole.

    No plaintext touches a disk. The archive is ended only when the check has passed.

    Args:
        release: the images that must be in the archive, and no others.
        export: gives them.
        fragment: the secret bytes that open the archive.
        sink: where the archive goes.
        report: is told of progress.
        total: length of the tar in bytes, where it is known.

    Raises:
        ImageMissingError: an image is not there.
        ImageIncompleteError: what came out lacks a part, or holds a damaged or an unasked-for one.
    """
    writer = CbcWriter(sink, fragment)
    size = 0

    def sealed() -> Iterator[bytes | memoryview]:
        nonlocal size
        for chunk in export(release.images):
            writer.write(chunk)
            size += len(chunk)
            report(Progress("sealing", size, total))
            yield chunk

    try:
        images = index_images(scan_images(sealed()).images)
    except ArchiveFormatError as error:
        raise ImageIncompleteError(f"the exported images are not usable: {error}") from error
    _verify_complete(release, images)
    writer.finish()
    report(Progress("sealing", size, size))
    return SealedArchive(
        tuple(
            SealedImage(ref, images[ref].config.digest, images[ref].config.platform) for ref in release.images
        ),
        size,
    )


def export_docker_archive(path: Path) -> tuple[Export, int]:
    """Return an export of a `docker save` file as it is, and the file's size in bytes.

    Raises:
        ArchiveUnreadableError: now or later, it cannot be read.
    """
    source = FileSource(path)
    size = source.seek(0, 2)
    source.seek(0)

    def export(_refs: tuple[ImageRef, ...]) -> Iterator[bytes]:
        with source:
            while chunk := source.read(LIMITS.chunk_bytes):
                yield chunk

    return export, size


def _verify_complete(release: Release, images: dict[ImageRef, StoredImage]) -> None:
    missing = [str(ref) for ref in release.images if ref not in images]
    if missing:
        raise ImageIncompleteError(f"the exported images lack {', '.join(missing)}")
    extra = [str(ref) for ref in images if ref not in release.images]
    if extra:
        raise ImageIncompleteError(
            f"the exported images hold {', '.join(extra)}, which nobody asked for",
            hint="Name every image with --image, or export only those of the release.",
        )
