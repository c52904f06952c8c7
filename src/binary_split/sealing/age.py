"""Sealing to ``age``: metadata first, so in two passes with an encrypted spool between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from binary_split.archive.age import Recipient
from binary_split.archive.age import seal_age as begin_age
from binary_split.archive.cbc import Sink
from binary_split.errors import ArchiveFormatError, ImageIncompleteError
from binary_split.model import Digest, Progress, ProgressSink, Release, ignore_progress
from binary_split.oci.blob import Blob
from binary_split.oci.compression import Compression
from binary_split.oci.images import index_images
from binary_split.oci.layout import LayoutImage
from binary_split.oci.release_tar import ReleaseTar, order_layers, state_blobs, state_images
from binary_split.oci.scan import ScannedTar, scan_images
from binary_split.oci.statement import ReleaseStatement
from binary_split.sealing.export import (
    Export,
    SealedArchive,
    arrange_images,
    describe_sealed,
    verify_complete,
)
from binary_split.sealing.layers import LayerSpooler, SpooledLayer, open_stored
from binary_split.sealing.spool import Spool


@dataclass(frozen=True, slots=True)
class AgeOrder:
    """What to seal, and for whom.

    Attributes:
        product: whose releases' sequence grows.
        sequence: of this release; larger than that of any before it.
        created: UTC, whole seconds.
        recipients: who can open the archive.
        sign: makes the envelope of a serialised statement.
        compression: tried for each layer, kept where it saves at least 5 %.
        platform: which every image must have; None: any.
    """

    release: Release
    product: str
    sequence: int
    created: datetime
    recipients: Sequence[Recipient]
    sign: Callable[[bytes], bytes]
    compression: Compression = Compression.ZSTD
    platform: str | None = None


def seal_age(
    order: AgeOrder,
    export: Export,
    sink: Sink,
    *,
    spool_folder: Path,
    report: ProgressSink = ignore_progress,
    total: int | None = None,
) -> SealedArchive:
    """Seal a release's images from ``export`` into ``sink``, checked to be complete before a byte is written.

    Args:
        order: what to seal, and for whom.
        export: gives the images.
        sink: where the archive goes.
        spool_folder: where the layers wait, encrypted: it needs about the archive's size.
        report: is told of progress, of both passes.
        total: length of the exported tar in bytes, where it is known.

    Raises:
        ImageMissingError: an image is not there.
        ImageIncompleteError: what came out lacks a part, or holds a damaged or an unasked-for one.
        OutputError: the spool has no room.
    """
    with Spool(spool_folder) as spool:
        scanned, spooled = _collect(order, export, spool, report, total)
        images, sources = _choose_layers(scanned, spooled, order.release)
        layers = order_layers(images)
        statement = ReleaseStatement(
            product=order.product,
            version=order.release.version,
            sequence=order.sequence,
            created=order.created,
            images=state_images(images),
            blobs=state_blobs(images, layers),
        )
        tar = ReleaseTar(
            order.sign(statement.serialise()),
            images,
            layers,
            lambda layer: open_stored(spool, sources[layer.diff_id], layer),
        )
        _write(tar, order, sink, report)
    return describe_sealed(order.release, images, tar.size)


def _collect(
    order: AgeOrder, export: Export, spool: Spool, report: ProgressSink, total: int | None
) -> tuple[ScannedTar, dict[str, SpooledLayer]]:
    """Read the exported tar once: every blob digested, every image checked, every layer spooled."""
    spooler = LayerSpooler(spool, order.compression)
    done = 0

    def counted() -> Iterator[bytes | memoryview]:
        nonlocal done
        for chunk in export(order.release.images):
            yield chunk
            done += len(chunk)
            report(Progress("collecting", done, total))

    try:
        scanned = scan_images(counted(), spooler.keep)
    except ArchiveFormatError as error:
        raise ImageIncompleteError(f"the exported images are not usable: {error}") from error
    images = index_images(scanned.images)
    verify_complete(order.release, images)
    for ref, image in images.items():
        if order.platform not in {None, image.config.platform}:
            raise ImageIncompleteError(f"{ref} is for {image.config.platform}, not for {order.platform}")
    return scanned, spooler.layers()


def _choose_layers(
    scanned: ScannedTar, spooled: dict[str, SpooledLayer], release: Release
) -> tuple[tuple[LayoutImage, ...], dict[Digest, SpooledLayer]]:
    """Return the images as they are to be stored, and where each layer is, by its diff id."""
    sources: dict[Digest, SpooledLayer] = {}
    blobs: dict[Digest, Blob] = {}
    for image in scanned.images:
        for name, diff_id in zip(image.layers, image.config.diff_ids, strict=True):
            sources.setdefault(diff_id, spooled[name])
            blobs[diff_id] = sources[diff_id].stored(diff_id)
    images = (
        LayoutImage(image.refs, image.config, tuple(blobs[diff_id] for diff_id in image.config.diff_ids))
        for image in scanned.images
    )
    return arrange_images(images, release), sources


def _write(tar: ReleaseTar, order: AgeOrder, sink: Sink, report: ProgressSink) -> None:
    done = 0
    with begin_age(sink, order.recipients) as writer:
        for chunk in tar.chunks():
            writer.write(chunk)
            done += len(chunk)
            report(Progress("sealing", done, tar.size))
