"""Reading a release tar: everything in it is chained by digest from its signed statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError
from binary_split.model import ByteSource, Digest, ImageRef
from binary_split.oci.blob import Blob, hash_bytes
from binary_split.oci.compression import Compression
from binary_split.oci.image_tar import ImageContents, read_chunks
from binary_split.oci.images import MANIFEST, ImageConfig, StoredImage, parse_json
from binary_split.oci.layout import (
    INDEX,
    LAYOUT_VERSION,
    OCI_LAYOUT,
    LayoutImage,
    blob_path,
    serialise_docker_manifest,
    serialise_index,
)
from binary_split.oci.release_tar import RELEASE, order_layers
from binary_split.oci.statement import ReleaseStatement, StatedBlob, StatedImage
from binary_split.oci.tar import END, RECORD, Kind, TarMember, padded, serialise_header

OpenEnvelope = Callable[[bytes], bytes]
"""Verifies the content of ``release.json`` and returns the statement in it; raises if it is not trusted."""


class ReleaseContents(ImageContents):
    """The images of a release tar, opened from its head alone.

    The signature is verified before anything else is believed; statement → configs and manifests follow at
    once, and the places of the layers follow from the statement. A layer's own bytes are verified by whoever
    reads them, against the digest in its name.

    Attributes:
        envelope: the content of ``release.json``, as it was verified.
        statement: what the release is.
        images: its images.
        members: the layers, by the names of their blobs.
        layout: the images as they are stored.

    Raises:
        ArchiveFormatError: the tar is not exactly what its statement says.
        ArchiveError: ``open_envelope`` does not trust the statement.
    """

    def __init__(self, source: ByteSource, open_envelope: OpenEnvelope) -> None:
        super().__init__(source)
        self._at = 0
        if self._read_member(OCI_LAYOUT, len(LAYOUT_VERSION)) != LAYOUT_VERSION:
            raise ArchiveFormatError(f"{OCI_LAYOUT} is not that of a release")
        self.envelope = self._read_member(RELEASE, LIMITS.envelope_bytes)
        self.statement = ReleaseStatement.parse(open_envelope(self.envelope))
        if self.statement.archive is not None:
            raise ArchiveFormatError("the statement within is about another archive, which it lies beside")
        index = self._read_member(INDEX, LIMITS.manifest_bytes)
        docker_manifest = self._read_member(MANIFEST, LIMITS.manifest_bytes)
        documents = self._read_documents()
        self.layout = _build_images(self.statement, documents)
        if index != serialise_index(self.layout) or docker_manifest != serialise_docker_manifest(self.layout):
            raise ArchiveFormatError(f"{INDEX} or {MANIFEST} does not agree with the statement")
        self.members = self._place_layers()
        self._plain_sizes = {blob_path(blob.digest): blob.plain_size for blob in self.statement.blobs}
        self._compressions = {
            blob_path(layer.digest): layer.compression for image in self.layout for layer in image.layers
        }
        self.images = tuple(
            StoredImage(image.refs, image.config, tuple(blob_path(layer.digest) for layer in image.layers))
            for image in self.layout
        )

    def plain_size(self, name: str) -> int | None:
        """Return a layer's uncompressed length in bytes, as stated."""
        return self._plain_sizes[name]

    def compression(self, name: str) -> Compression:
        """Return how a layer is compressed, as its manifest states: nothing of the layer is read."""
        return self._compressions[name]

    def chunks(self, name: str) -> Iterator[memoryview]:
        """Give the bytes of a layer; each chunk is valid until the next one is asked for.

        Raises:
            ArchiveFormatError: its header is not the one that must be there.
        """
        member = self.members[name]
        self._source.seek(member.offset - RECORD)
        if self._source.read(RECORD) != serialise_header(name, member.size):
            raise ArchiveFormatError(f"the header of {name} is not the one that the statement gives it")
        yield from read_chunks(self._source, member)
        padding = padded(member.size) - member.size
        if padding and self._source.read(padding) != bytes(padding):
            raise ArchiveFormatError(f"{name} is not padded with zeros")

    def verify_end(self) -> None:
        """Check what follows the last layer: the tar's end, and nothing behind it.

        Raises:
            ArchiveFormatError: anything else is there.
        """
        self._source.seek(self._at)
        if self._read_up_to(len(END) + 1) != END:
            raise ArchiveFormatError("the release tar does not end where its statement says")

    def _read_member(self, name: str, max_size: int) -> bytes:
        """Read the next member, which must be this one, under its canonical header."""
        header = self._read_up_to(RECORD)
        try:
            size = int(header[124:135], 8)
        except ValueError:
            size = -1
        if not 0 <= size <= max_size or header != serialise_header(name, size):
            raise ArchiveFormatError(f"the release tar has no usable {name} where it must be")
        content = self._read_up_to(padded(size))
        if len(content) != padded(size) or any(content[size:]):
            raise ArchiveFormatError(f"{name} is cut off or not padded with zeros")
        self._at += RECORD + padded(size)
        return content[:size]

    def _read_up_to(self, size: int) -> bytes:
        content = bytearray()
        while len(content) < size and (part := self._source.read(size - len(content))):
            content += part
        return bytes(content)

    def _read_documents(self) -> dict[Digest, bytes]:
        """Read the configs and manifests, each by its stated digest and size."""
        documents: dict[Digest, bytes] = {}
        room = LIMITS.documents_bytes
        for blob in self.statement.blobs:
            if blob.diff_id is not None:
                break
            room -= blob.size
            if room < 0:
                raise ArchiveFormatError("the release tar holds more documents than any release")
            content = self._read_member(blob_path(blob.digest), LIMITS.image_config_bytes)
            if len(content) != blob.size or hash_bytes(content) != blob.digest:
                raise ArchiveFormatError(f"the blob {blob.digest} is not what the statement says")
            documents[blob.digest] = content
        return documents

    def _place_layers(self) -> dict[str, TarMember]:
        """Say where each layer must lie; the tar has them in the statement's order, and no others."""
        layers = [blob for blob in self.statement.blobs if blob.diff_id is not None]
        expected = [(layer.digest, layer.diff_id) for layer in order_layers(self.layout)]
        if [(blob.digest, blob.diff_id) for blob in layers] != expected:
            raise ArchiveFormatError("the statement's layers are not those of its images, in their order")
        members: dict[str, TarMember] = {}
        for blob in layers:
            name = blob_path(blob.digest)
            members[name] = TarMember(name, Kind.FILE, self._at + RECORD, blob.size)
            self._at += RECORD + padded(blob.size)
        return members


def _build_images(statement: ReleaseStatement, documents: Mapping[Digest, bytes]) -> tuple[LayoutImage, ...]:
    """Build each image from the statement and its documents, which must agree."""
    layers = {blob.diff_id: blob for blob in statement.blobs if blob.diff_id is not None}
    rows: dict[tuple[Digest, Digest], list[StatedImage]] = {}
    for row in statement.images:
        rows.setdefault((row.config, row.manifest), []).append(row)
    if {digest for pair in rows for digest in pair} != set(documents):
        raise ArchiveFormatError("the release tar does not hold the configs and manifests of its images")
    return tuple(
        _build_image(tuple(row.ref for row in same), same[0], layers, documents) for same in rows.values()
    )


def _build_image(
    refs: tuple[ImageRef, ...],
    stated: StatedImage,
    layers: Mapping[Digest, StatedBlob],
    documents: Mapping[Digest, bytes],
) -> LayoutImage:
    config = ImageConfig.parse(documents[stated.config])
    if config.diff_ids != stated.diff_ids or config.platform != stated.platform:
        raise ArchiveFormatError(f"{refs[0]}: its config does not agree with the statement")
    manifest = parse_json(documents[stated.manifest], what="an image manifest", kind=dict)
    try:
        kinds = [Compression(row["mediaType"]) for row in manifest["layers"]]
        rows = zip((layers[diff_id] for diff_id in config.diff_ids), kinds, config.diff_ids, strict=True)
        blobs = tuple(Blob(blob.digest, diff_id, blob.size, kind) for blob, kind, diff_id in rows)
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveFormatError(f"{refs[0]}: its manifest does not agree with the statement") from error
    image = LayoutImage(refs, config, blobs)
    if image.manifest_digest != stated.manifest:
        raise ArchiveFormatError(f"{refs[0]}: its manifest does not agree with the statement")
    return image
