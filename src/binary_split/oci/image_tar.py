"""A seekable image tar, known from its headers and documents alone; layers are read when asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from copy import copy
from typing import Self

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError
from binary_split.model import ByteSource
from binary_split.oci.compression import MARK_BYTES, Compression, detect_compression
from binary_split.oci.images import MANIFEST, StoredImage, parse_images
from binary_split.oci.tar import Kind, TarMember, TarReader, read_fully


class ImageContents(ABC):
    """The images of an opened archive, whatever its format.

    Args:
        source: its plaintext.

    Attributes:
        images: what is in it.
        members: the layers by their names, and of a tar that an engine saved everything.
    """

    images: tuple[StoredImage, ...]
    members: Mapping[str, TarMember]

    def __init__(self, source: ByteSource) -> None:
        self._source = source

    @abstractmethod
    def plain_size(self, name: str) -> int | None:
        """Return a layer's uncompressed length in bytes, None where that is not known before it is read."""

    @abstractmethod
    def compression(self, name: str) -> Compression:
        """Return how a layer is compressed; whoever reads it finds out whether that is true."""

    @abstractmethod
    def chunks(self, name: str) -> Iterator[memoryview]:
        """Give the content of a file; each chunk is valid until the next one is asked for."""

    def head(self, name: str, size: int) -> bytes:
        """Return the first bytes of a file."""
        member = self.members[name]
        self._source.seek(member.offset)
        return self._source.read(min(size, member.size)) or b""

    def through(self, source: ByteSource) -> Self:
        """Return the same contents, read through another reader of the same plaintext."""
        other = copy(self)
        other._source = source  # noqa: SLF001 - of this very class
        return other


def read_chunks(source: ByteSource, member: TarMember) -> Iterator[memoryview]:
    """Give the content of a member; each chunk is valid until the next one is asked for.

    Raises:
        ArchiveFormatError: the tar ends before it.
    """
    buffer = bytearray(min(LIMITS.chunk_bytes, member.size))
    source.seek(member.offset)
    missing = member.size
    while missing:
        view = memoryview(buffer)[:missing]
        if read_fully(source, view) < len(view):
            raise ArchiveFormatError("the tar is cut off")
        missing -= len(view)
        yield view


class ImageTar(ImageContents):
    """The images of a seekable tar, as an engine saved them.

    The headers are walked first, over the contents: ``docker save`` writes ``manifest.json`` near the end.

    Raises:
        ArchiveFormatError: the tar is malformed, or no image archive.
    """

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source)
        self.members = {member.name: member for member in TarReader(source)}
        manifest = self.members.get(MANIFEST)
        if manifest is None or manifest.kind is not Kind.FILE or manifest.size > LIMITS.manifest_bytes:
            raise ArchiveFormatError(f"the tar has no usable {MANIFEST}: it is no image archive")
        self.images = parse_images(self.read(MANIFEST), self.members, self.read)

    def plain_size(self, name: str) -> int | None:  # noqa: ARG002 - the interface's
        """Return None: no header states it."""
        return None

    def compression(self, name: str) -> Compression:
        """Return how a layer is compressed, by its first bytes."""
        return detect_compression(self.head(name, MARK_BYTES))

    def chunks(self, name: str) -> Iterator[memoryview]:
        """Give the content of a file; each chunk is valid until the next one is asked for."""
        return read_chunks(self._source, self.members[name])

    def read(self, name: str) -> bytes:
        """Return the content of a small file."""
        return b"".join(bytes(chunk) for chunk in self.chunks(name))
