"""One blob as it flows by: its digest, and the diff id of the layer that it holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes

from binary_split.model import Digest
from binary_split.oci.compression import MARK_BYTES, Compression, Decompressor, detect_compression


@dataclass(frozen=True, slots=True)
class Blob:
    """What is known of a blob that was read once.

    Attributes:
        digest: of its bytes as stored.
        diff_id: of the bytes that decompression gives; equal to the digest of an uncompressed one.
        size: as stored, in bytes.
        plain_size: uncompressed, in bytes; None until it was read.
    """

    digest: Digest
    diff_id: Digest
    size: int
    compression: Compression
    plain_size: int | None = field(default=None, compare=False)


def hash_bytes(content: bytes) -> Digest:
    """Return the digest of some bytes."""
    state = hashes.Hash(hashes.SHA256())
    state.update(content)
    return Digest(state.finalize().hex())


def hash_blob(chunks: Iterable[bytes | memoryview], *, max_plain_bytes: int | None = None) -> Blob:
    """Read a whole blob, through its compression too, in constant memory.

    Raises:
        ArchiveFormatError: a compressed blob is damaged or too large.
    """
    hasher = BlobHasher(max_plain_bytes=max_plain_bytes)
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.finish()


class BlobHasher:
    """Digests a blob chunk by chunk, as small as they may be.

    Args:
        max_plain_bytes: how much it may hold uncompressed; None: as much as any layer.
        stored_only: leave a compressed blob as it is; the diff id that is found is its digest then.
    """

    def __init__(self, *, max_plain_bytes: int | None = None, stored_only: bool = False) -> None:
        self._max_plain_bytes = max_plain_bytes
        self._stored = hashes.Hash(hashes.SHA256())
        self._plain: hashes.Hash | None = None
        self._decompressor: Decompressor | None = None
        self._compression = Compression.NONE
        self._size = 0
        self._plain_size = 0
        self._head: bytes | None = (
            None if stored_only else b""
        )  # the first bytes, until there are enough to tell the compression

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            ArchiveFormatError: the blob is compressed and damaged or too large.
        """
        self._size += len(chunk)
        self._stored.update(chunk)
        if self._head is None:
            self._decompress(chunk)
            return
        self._head += bytes(chunk[: MARK_BYTES - len(self._head)])
        if len(self._head) == MARK_BYTES:
            self._begin(self._head)
            self._decompress(chunk[MARK_BYTES - (self._size - len(chunk)) :])

    def finish(self) -> Blob:
        """Return what was found.

        Raises:
            ArchiveFormatError: the blob is compressed and cut off.
        """
        if self._head is not None:
            self._begin(self._head)
        digest = diff_id = Digest(self._stored.finalize().hex())
        if self._decompressor and self._plain:
            self._decompressor.finish()
            diff_id = Digest(self._plain.finalize().hex())
        plain_size = self._plain_size if self._decompressor else self._size
        return Blob(digest, diff_id, self._size, self._compression, plain_size)

    def _begin(self, head: bytes) -> None:
        self._head = None
        self._compression = detect_compression(head)
        if self._compression is not Compression.NONE:
            self._decompressor = Decompressor(self._compression, max_bytes=self._max_plain_bytes)
            self._plain = hashes.Hash(hashes.SHA256())
            self._decompress(head)

    def _decompress(self, chunk: bytes | memoryview) -> None:
        if self._decompressor and self._plain:
            for piece in self._decompressor.pieces(bytes(chunk)):
                self._plain.update(piece)
                self._plain_size += len(piece)
