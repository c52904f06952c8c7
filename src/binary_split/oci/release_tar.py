"""The release tar: the plaintext of an ``age`` archive, written metadata first.

It is an OCI image layout and a `docker load` archive in one. Its members, in this order and no others:
``oci-layout``, ``release.json``, ``index.json``, ``manifest.json``, each image's config and manifest, then
the layers, shared ones first. Every header is canonical, so the same release gives the same bytes, and
whoever has read the head knows where each layer lies. Specified in ``docs/archive-format.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from binary_split.oci.blob import Blob, hash_bytes
from binary_split.oci.images import MANIFEST
from binary_split.oci.layout import (
    INDEX,
    LAYOUT_VERSION,
    OCI_LAYOUT,
    LayoutImage,
    blob_path,
    image_documents,
    serialise_docker_manifest,
    serialise_index,
)
from binary_split.oci.statement import StatedBlob, StatedImage
from binary_split.oci.tar import END, RECORD, padded, serialise_header

RELEASE = "release.json"


def order_layers(images: Iterable[LayoutImage]) -> tuple[Blob, ...]:
    """Return each layer once: those that most images share first, then in the order of their use."""
    layers = [layer for image in images for layer in dict.fromkeys(image.layers)]
    uses = Counter(layers)
    return tuple(sorted(dict.fromkeys(layers), key=lambda layer: -uses[layer]))


def state_images(images: Iterable[LayoutImage]) -> tuple[StatedImage, ...]:
    """Return what a statement says of images: one row for each reference."""
    return tuple(
        StatedImage(
            ref, image.config.digest, image.manifest_digest, image.config.diff_ids, image.config.platform
        )
        for image in images
        for ref in image.refs
    )


def state_blobs(images: Iterable[LayoutImage], layers: Iterable[Blob]) -> tuple[StatedBlob, ...]:
    """Return what a statement says of the images' blobs, in the order of the release tar."""
    documents = (
        StatedBlob(hash_bytes(content), len(content), None, None)
        for content in image_documents(images).values()
    )
    return (
        *documents,
        *(StatedBlob(layer.digest, layer.size, layer.diff_id, layer.plain_size) for layer in layers),
    )


class ReleaseTar:
    """A release as a tar, to be written once from front to end.

    Args:
        envelope: the content of ``release.json``.
        images: the images that its statement names.
        layers: all their layers, in the statement's order.
        open_layer: gives a layer's bytes as they are to be stored.
    """

    def __init__(
        self,
        envelope: bytes,
        images: Sequence[LayoutImage],
        layers: Sequence[Blob],
        open_layer: Callable[[Blob], Iterable[bytes | memoryview]],
    ) -> None:
        self._layers = layers
        self._open_layer = open_layer
        self._head = {
            OCI_LAYOUT: LAYOUT_VERSION,
            RELEASE: envelope,
            INDEX: serialise_index(images),
            MANIFEST: serialise_docker_manifest(images),
        } | image_documents(images)

    @property
    def size(self) -> int:
        """The length of the tar in bytes."""
        sizes = [*map(len, self._head.values()), *(layer.size for layer in self._layers)]
        return sum(RECORD + padded(size) for size in sizes) + len(END)

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Give the tar; each chunk is valid until the next one is asked for."""
        for name, content in self._head.items():
            yield serialise_header(name, len(content))
            yield content.ljust(padded(len(content)), b"\0")
        for layer in self._layers:
            yield serialise_header(blob_path(layer.digest), layer.size)
            yield from self._open_layer(layer)
            yield bytes(padded(layer.size) - layer.size)
        yield END
