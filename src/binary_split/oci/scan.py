"""Reading an image tar once, forward: every blob is digested and every image checked to be complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError, ImageIncompleteError
from binary_split.model import Digest
from binary_split.oci.blob import Blob, BlobHasher
from binary_split.oci.chunks import ChunkReader
from binary_split.oci.images import MANIFEST, StoredImage, parse_images
from binary_split.oci.layout import LayoutImage, blob_path
from binary_split.oci.tar import Kind, TarMember, TarReader

KeepChunk = Callable[[str, memoryview], object]
"""Takes the next bytes of the member of that name."""


@dataclass(frozen=True, slots=True)
class ScannedTar:
    """What a forward pass over an image tar found: its images and, by member name, its blobs."""

    images: tuple[StoredImage, ...]
    blobs: dict[str, Blob]

    def layout(self) -> tuple[LayoutImage, ...]:
        """Return the images as we would write them."""
        return tuple(
            LayoutImage(image.refs, image.config, tuple(self.blobs[name] for name in image.layers))
            for image in self.images
        )


def scan_images(chunks: Iterable[bytes | memoryview], keep: KeepChunk | None = None) -> ScannedTar:
    """Read an image tar to its very end and check that each image's parts are there and whole.

    Args:
        chunks: the tar.
        keep: is given every member's content as it flows by.

    Raises:
        ArchiveFormatError: the tar is malformed.
        ImageIncompleteError: a blob is missing, or is not the one that its image or its name says.
    """
    reader = TarReader(ChunkReader(chunks))
    members: dict[str, TarMember] = {}
    blobs: dict[str, Blob] = {}
    documents: dict[str, bytes] = {}
    room = LIMITS.documents_bytes
    for member in reader:
        members[member.name] = member
        if member.kind is Kind.FILE:
            blobs[member.name], document = _read_blob(reader, member, keep)
            if document:
                documents[member.name] = document
                room -= len(document)
                if room < 0:
                    raise ArchiveFormatError("the tar holds too many documents for an image archive")
    reader.drain()
    if MANIFEST not in documents:
        raise ArchiveFormatError(f"the tar has no {MANIFEST}: it is no image archive")
    try:
        images = parse_images(documents[MANIFEST], members, lambda name: documents.get(name, b""))
    except ArchiveFormatError as error:
        raise ImageIncompleteError(str(error)) from error
    scanned = ScannedTar(images, blobs)
    _verify_blobs(scanned)
    return scanned


def _read_blob(reader: TarReader, member: TarMember, keep: KeepChunk | None) -> tuple[Blob, bytes]:
    """Digest a member; return it, and its content where it may be one of the JSON documents."""
    hasher = BlobHasher()
    content = bytearray()
    may_be_json = member.size <= LIMITS.image_config_bytes
    for chunk in reader.chunks():
        hasher.update(chunk)
        if not content and bytes(chunk[:1]) not in (b"{", b"["):
            may_be_json = False
        if may_be_json:
            content += chunk
        if keep:
            keep(member.name, chunk)
    return hasher.finish(), bytes(content)


def _verify_blobs(scanned: ScannedTar) -> None:
    for name, blob in scanned.blobs.items():
        if name.startswith("blobs/sha256/") and name != blob_path(blob.digest):
            raise ImageIncompleteError(f"the blob {name} is damaged: it has the digest {blob.digest}")
    for image in scanned.images:
        for name, diff_id in zip(image.layers, image.config.diff_ids, strict=True):
            _verify_layer(image, name, scanned.blobs[name], diff_id)


def _verify_layer(image: StoredImage, name: str, blob: Blob, diff_id: Digest) -> None:
    if blob.diff_id != diff_id:
        title = image.refs[0] if image.refs else image.config.digest
        raise ImageIncompleteError(
            f"{title}: the layer {name} is damaged: it is {blob.diff_id}, not {diff_id}"
        )
