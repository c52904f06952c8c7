"""A seekable image tar, known from its headers and documents alone; layers are read when asked for."""

from __future__ import annotations

from collections.abc import Iterator

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError
from binary_split.model import ByteSource
from binary_split.oci.images import MANIFEST, StoredImage, parse_images
from binary_split.oci.tar import Kind, TarMember, TarReader


class ImageTar:
    """The images of a seekable tar.

    The headers are walked first, over the contents: ``docker save`` writes ``manifest.json`` near the end.

    Attributes:
        images: what ``manifest.json`` names.
        members: every member by its name.

    Raises:
        ArchiveFormatError: the tar is malformed, or no image archive.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self.members = {member.name: member for member in TarReader(source)}
        manifest = self.members.get(MANIFEST)
        if manifest is None or manifest.kind is not Kind.FILE or manifest.size > LIMITS.manifest_bytes:
            raise ArchiveFormatError(f"the tar has no usable {MANIFEST}: it is no image archive")
        self.images: tuple[StoredImage, ...] = parse_images(self.read(MANIFEST), self.members, self.read)

    def read(self, name: str) -> bytes:
        """Return the content of a small file."""
        return b"".join(bytes(chunk) for chunk in self.chunks(name))

    def head(self, name: str, size: int) -> bytes:
        """Return the first bytes of a file."""
        member = self.members[name]
        self._source.seek(member.offset)
        return self._source.read(min(size, member.size)) or b""

    def chunks(self, name: str) -> Iterator[memoryview]:
        """Give the content of a file; each chunk is valid until the next one is asked for."""
        member: TarMember = self.members[name]
        buffer = bytearray(min(LIMITS.chunk_bytes, member.size))
        self._source.seek(member.offset)
        missing = member.size
        while missing:
            count = self._source.readinto(memoryview(buffer)[:missing])
            if not count:
                raise ArchiveFormatError("the tar is cut off")
            missing -= count
            yield memoryview(buffer)[:count]
