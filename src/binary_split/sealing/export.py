"""What is sealed: a release's images as one tar from an engine or a file, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from binary_split.config import LIMITS
from binary_split.errors import ImageIncompleteError
from binary_split.model import Digest, ImageRef, Release
from binary_split.oci.images import StoredImage
from binary_split.oci.layout import LayoutImage
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
        images: every reference of the release, in its order.
        layout: the images as they are, or would be, laid out.
        plain_size: bytes of the image tar within.
    """

    images: tuple[SealedImage, ...]
    layout: tuple[LayoutImage, ...]
    plain_size: int


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


def describe_sealed(release: Release, layout: tuple[LayoutImage, ...], plain_size: int) -> SealedArchive:
    """Return what a finished archive holds."""
    configs = {ref: image.config for image in layout for ref in image.refs}
    rows = tuple(SealedImage(ref, configs[ref].digest, configs[ref].platform) for ref in release.images)
    return SealedArchive(rows, layout, plain_size)


def arrange_images(layout: Iterable[LayoutImage], release: Release) -> tuple[LayoutImage, ...]:
    """Put images in the order of the release: engines export in an order of their own, which may change.

    An image that is exported once for each of its references becomes one: so a reader of the statement, who
    knows images by their digests, lays them out in the same way.
    """
    place = {ref: number for number, ref in enumerate(release.images)}
    same: dict[tuple[Digest, Digest], list[LayoutImage]] = {}
    for image in layout:
        if image.refs:
            same.setdefault((image.config.digest, image.manifest_digest), []).append(image)
    named = (
        replace(
            images[0],
            refs=tuple(sorted((ref for each in images for ref in each.refs), key=place.__getitem__)),
        )
        for images in same.values()
    )
    return tuple(sorted(named, key=lambda image: place[image.refs[0]]))


def verify_complete(release: Release, images: Mapping[ImageRef, StoredImage]) -> None:
    """Check that what was exported is what was asked for.

    Raises:
        ImageIncompleteError: an image is not there, or one is that nobody asked for.
    """
    missing = [str(ref) for ref in release.images if ref not in images]
    if missing:
        raise ImageIncompleteError(f"the exported images lack {', '.join(missing)}")
    extra = [str(ref) for ref in images if ref not in release.images]
    if extra:
        raise ImageIncompleteError(
            f"the exported images hold {', '.join(extra)}, which nobody asked for",
            hint="Name every image with --image, or export only those of the release.",
        )
