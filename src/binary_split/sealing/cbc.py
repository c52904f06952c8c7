"""Sealing to ``cbc``, as one stream that is checked while it flows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from binary_split.archive.cbc import CbcWriter
from binary_split.errors import ArchiveFormatError, ImageIncompleteError
from binary_split.model import Fragment, Progress, ProgressSink, Release, ignore_progress
from binary_split.oci.images import index_images
from binary_split.oci.scan import scan_images
from binary_split.sealing.export import Export, SealedArchive, SealedImage, verify_complete


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
    verify_complete(release, images)
    writer.finish()
    report(Progress("sealing", size, size))
    return SealedArchive(
        tuple(
            SealedImage(ref, images[ref].config.digest, images[ref].config.platform) for ref in release.images
        ),
        size,
    )
