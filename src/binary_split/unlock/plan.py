"""What an archive must hold and what of it is to be sent, from its headers and documents alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from binary_split.errors import ImageMismatchError, ImageMissingError
from binary_split.model import Digest, ImagePins, ImageRef
from binary_split.oci.blob import Blob, hash_blob
from binary_split.oci.compression import MARK_BYTES, Compression, Decompressor, detect_compression
from binary_split.oci.image_tar import ImageContents
from binary_split.oci.images import StoredImage, index_images
from binary_split.oci.layout import LayoutImage, LayoutTar
from binary_split.unlock.checking import ExpectedImage

OpenLayer = Callable[[Blob], Iterable[bytes | memoryview]]
_BLOB_PREFIX = "blobs/sha256/"


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """An image of the archive as it would be sent, and the members that hold its layers."""

    layout: LayoutImage
    members: tuple[str, ...]

    def expected(self) -> list[ExpectedImage]:
        """Return what the engine must have after loading."""
        config = self.layout.config
        blobs = tuple(layer.digest for layer in self.layout.layers)
        known = (config.digest, self.layout.manifest_digest, config.diff_ids, blobs)
        return [ExpectedImage(ref, *known) for ref in self.layout.refs]


def plan_images(
    tar: ImageContents,
    refs: Iterable[ImageRef],
    pins: ImagePins | None,
    *,
    keep: Collection[Compression] = (),
) -> tuple[PlannedImage, ...]:
    """Match an archive's images with the release.

    Args:
        tar: the opened archive.
        refs: the images of the release.
        pins: their config digests; None where the caller accepts whatever the archive says.
        keep: layers in these compressions are sent as they are, where their digests are stated.

    Raises:
        ImageMissingError: the archive lacks an image.
        ImageMismatchError: an image is not the pinned one, or not of the release at all.
        ArchiveFormatError: a layer cannot be read.
    """
    refs = tuple(refs)
    found = index_images(tar.images)
    missing = [str(ref) for ref in refs if ref not in found]
    if missing:
        raise ImageMissingError(
            f"the archive does not hold {', '.join(missing)}",
            hint="Check --version and --image: this archive is of another release.",
        )
    extra = [str(ref) for ref in found if ref not in refs]
    if extra:
        raise ImageMismatchError(
            f"the archive holds {', '.join(extra)}, not part of the release: nothing was loaded",
            hint="Name every image of the release with --image, if you trust them all.",
        )
    for ref, pin in (pins or {}).items():
        if ref in found and found[ref].config.digest != pin:
            raise ImageMismatchError(
                f"{ref} in the archive is {found[ref].config.digest}, not {pin}: nothing was loaded"
            )
    return tuple(_plan_image(tar, image, keep) for image in tar.images if image.refs)


def build_tar(tar: ImageContents, images: Iterable[PlannedImage]) -> LayoutTar:
    """Return the tar to send: each layer once, in the order in which the archive holds them."""
    images = tuple(images)
    members = index_layers(images)
    layers = sorted(members, key=lambda layer: tar.members[members[layer]].offset)
    return LayoutTar((image.layout for image in images), layers, layer_opener(tar, members))


def index_layers(images: Iterable[PlannedImage]) -> dict[Blob, str]:
    """Return the member that holds each layer."""
    return {
        layer: member
        for image in images
        for layer, member in zip(image.layout.layers, image.members, strict=True)
    }


def layer_opener(tar: ImageContents, members: Mapping[Blob, str]) -> OpenLayer:
    """Return what gives a layer's bytes as they are sent."""

    def open_layer(layer: Blob) -> Iterator[bytes | memoryview]:
        name = members[layer]
        compression = detect_compression(tar.head(name, MARK_BYTES))
        if compression is layer.compression:
            return tar.chunks(name)
        return _decompress(tar.chunks(name), compression, layer.size)

    return open_layer


def _decompress(chunks: Iterable[memoryview], compression: Compression, plain_size: int) -> Iterator[bytes]:
    decompressor = Decompressor(compression, max_bytes=plain_size)
    for chunk in chunks:
        yield from decompressor.pieces(bytes(chunk))
    decompressor.finish()


def _plan_image(tar: ImageContents, image: StoredImage, keep: Collection[Compression]) -> PlannedImage:
    rows = zip(image.layers, image.config.diff_ids, strict=True)
    layers = tuple(_plan_layer(tar, name, diff_id, keep) for name, diff_id in rows)
    return PlannedImage(LayoutImage(image.refs, image.config, layers), image.layers)


def _plan_layer(tar: ImageContents, name: str, diff_id: Digest, keep: Collection[Compression]) -> Blob:
    """Say what a layer must turn out to be; only one that states no digest of its own is read for it.

    It is sent uncompressed where its length is known, unless the engine keeps what it is sent.
    """
    compression = detect_compression(tar.head(name, MARK_BYTES))
    plain_size = tar.plain_size(name)
    if plain_size is not None and compression in keep and compression is not Compression.NONE:
        return Blob(_digest_in(name), diff_id, tar.members[name].size, compression, plain_size)
    if plain_size is not None:
        return Blob(diff_id, diff_id, plain_size, Compression.NONE, plain_size)
    if compression is Compression.NONE:
        digest = diff_id
    elif name.startswith(_BLOB_PREFIX) and len(name) == len(_BLOB_PREFIX) + 64:
        digest = _digest_in(name)
    else:
        digest = hash_blob(tar.chunks(name)).digest
    return Blob(digest, diff_id, tar.members[name].size, compression)


def _digest_in(name: str) -> Digest:
    return Digest.parse(f"sha256:{name.removeprefix(_BLOB_PREFIX)}")
