"""Sealing to ``cbc``, as one stream that is checked while it flows."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes

from binary_split.archive.cbc import CbcWriter, Sink
from binary_split.errors import ArchiveFormatError, ImageIncompleteError
from binary_split.model import Digest, Fragment, Progress, ProgressSink, Release, ignore_progress
from binary_split.oci.images import index_images
from binary_split.oci.scan import scan_images
from binary_split.oci.stated import ArchiveDigest
from binary_split.sealing.export import (
    Export,
    SealedArchive,
    arrange_images,
    describe_sealed,
    verify_complete,
)


def seal_cbc(
    release: Release,
    export: Export,
    fragment: Fragment,
    sink: Sink,
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
        scanned = scan_images(sealed())
    except ArchiveFormatError as error:
        raise ImageIncompleteError(f"the exported images are not usable: {error}") from error
    verify_complete(release, index_images(scanned.images))
    writer.finish()
    report(Progress("sealing", size, size))
    return describe_sealed(release, arrange_images(scanned.layout(), release), size)


class HashingSink:
    """Passes an archive on and digests it: for the statement that lies beside it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._hash = hashes.Hash(hashes.SHA256())
        self._size = 0

    def write(self, chunk: bytes | memoryview) -> int:
        """Take some bytes."""
        self._hash.update(chunk)
        self._size += len(chunk)
        return self._sink.write(chunk)

    def digest(self) -> ArchiveDigest:
        """Return the digest of all that was written; nothing more can be."""
        return ArchiveDigest(Digest(self._hash.finalize().hex()), self._size)
