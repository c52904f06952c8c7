"""The image tar that we write: an OCI image layout and a `docker load` archive in one.

Formats: OCI image-spec 1.1 (``image-layout.md``, ``manifest.md``, annotations), containerd's annotation
for the full name, and Docker's ``manifest.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from binary_split.errors import ArchiveDamagedError
from binary_split.model import Digest, ImageRef
from binary_split.oci.blob import Blob, BlobHasher, hash_bytes
from binary_split.oci.images import MANIFEST, ImageConfig
from binary_split.oci.tar import END, RECORD, padded, serialise_header

OCI_LAYOUT = "oci-layout"
INDEX = "index.json"
LAYOUT_VERSION = b'{"imageLayoutVersion":"1.0.0"}'

_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True, slots=True)
class LayoutImage:
    """An image as we write it.

    Attributes:
        layers: its blobs, lowest first.
        manifest: the OCI manifest that we make for it, serialised.
        manifest_digest: its id in engines that name images by their manifest.
    """

    refs: tuple[ImageRef, ...]
    config: ImageConfig
    layers: tuple[Blob, ...]
    manifest: bytes = field(init=False, repr=False)
    manifest_digest: Digest = field(init=False)

    def __post_init__(self) -> None:
        manifest = _serialise_manifest(self.config, self.layers)
        object.__setattr__(self, "manifest", manifest)
        object.__setattr__(self, "manifest_digest", hash_bytes(manifest))


class LayoutForm(Enum):
    """By which documents a tar names its images."""

    BOTH = "an OCI image layout and a docker archive"
    DOCKER = "a docker archive"
    OCI = "an OCI image layout"


class LayoutTar:
    """Images as one tar: layers first, then everything that names them.

    What makes an engine load anything comes last, and is given out only when every layer has matched its
    digest and diff id: a damaged layer leaves the engine with a tar that is cut off and names no image.

    Args:
        images: what to write; their layers are written once each, in the order of ``layers``.
        layers: all layers, in the order in which the source can best read them; one that is left out must
            be there where the tar goes.
        open_layer: gives the bytes of a layer as stored.
        form: by which documents it names the images.
    """

    def __init__(
        self,
        images: Iterable[LayoutImage],
        layers: Iterable[Blob],
        open_layer: Callable[[Blob], Iterable[bytes | memoryview]],
        *,
        form: LayoutForm = LayoutForm.BOTH,
    ) -> None:
        self._layers = tuple(dict.fromkeys(layers))
        self._open_layer = open_layer
        self._documents = _serialise_documents(tuple(images), form)

    @property
    def size(self) -> int:
        """The length of the tar in bytes."""
        contents = [*(layer.size for layer in self._layers), *map(len, self._documents.values())]
        return sum(RECORD + padded(size) for size in contents) + len(END)

    def chunks(self, *, before_naming: Callable[[], None] = lambda: None) -> Iterator[bytes | memoryview]:
        """Give the tar; each chunk is valid until the next is asked for.

        Args:
            before_naming: is called when every layer has matched, before anything that names an image.

        Raises:
            ArchiveDamagedError: a layer is not the one that it should be.
        """
        for layer in self._layers:
            yield serialise_header(blob_path(layer.digest), layer.size)
            yield from self._verified(layer)
            yield bytes(padded(layer.size) - layer.size)
        before_naming()
        for name, content in self._documents.items():
            yield serialise_header(name, len(content))
            yield content.ljust(padded(len(content)), b"\0")
        yield END

    def _verified(self, layer: Blob) -> Iterator[bytes | memoryview]:
        hasher = BlobHasher()
        for chunk in self._open_layer(layer):
            hasher.update(chunk)
            yield chunk
        if hasher.finish() != layer:
            raise ArchiveDamagedError


def blob_path(digest: Digest) -> str:
    """Return where a blob lies in a layout."""
    return f"blobs/sha256/{digest.hex}"


def serialise_index(images: Iterable[LayoutImage]) -> bytes:
    """Return ``index.json``: one entry for each reference."""
    entries = [
        _describe(_MANIFEST_TYPE, image.manifest_digest, len(image.manifest))
        | {
            "platform": dict(
                zip(("os", "architecture", "variant"), image.config.platform.split("/", 2), strict=False)
            ),
            "annotations": {
                "io.containerd.image.name": f"{ref.canonical_name}:{ref.tag}",
                "org.opencontainers.image.ref.name": ref.tag,
            },
        }
        for image in images
        for ref in image.refs
    ]
    return _serialise({"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": entries})


def serialise_docker_manifest(images: Iterable[LayoutImage]) -> bytes:
    """Return ``manifest.json``, by which `docker load` finds the images."""
    return _serialise(
        [
            {
                "Config": blob_path(image.config.digest),
                "RepoTags": [str(ref) for ref in image.refs],
                "Layers": [blob_path(layer.digest) for layer in image.layers],
            }
            for image in images
        ]
    )


def image_documents(images: Iterable[LayoutImage]) -> dict[str, bytes]:
    """Return the configs and manifests of images, each once, by the names of their blobs."""
    documents: dict[str, bytes] = {}
    for image in images:
        documents[blob_path(image.config.digest)] = image.config.content
        documents[blob_path(image.manifest_digest)] = image.manifest
    return documents


def _serialise_documents(images: Sequence[LayoutImage], form: LayoutForm) -> dict[str, bytes]:
    documents = image_documents(images)
    if form is not LayoutForm.DOCKER:
        documents |= {OCI_LAYOUT: LAYOUT_VERSION, INDEX: serialise_index(images)}
    if form is not LayoutForm.OCI:
        documents |= {MANIFEST: serialise_docker_manifest(images)}
    return documents


def _serialise_manifest(config: ImageConfig, layers: Iterable[Blob]) -> bytes:
    return _serialise(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": _describe(_CONFIG_TYPE, config.digest, len(config.content)),
            "layers": [_describe(layer.compression.value, layer.digest, layer.size) for layer in layers],
        }
    )


def _describe(media_type: str, digest: Digest, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": size}


def _serialise(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
