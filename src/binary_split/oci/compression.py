"""How layers are compressed, and their decompression in bounded pieces."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import Any

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError

MARK_BYTES = 4
"""How many first bytes tell a blob's compression."""

_LAYER = "application/vnd.oci.image.layer.v1.tar"


class Compression(Enum):
    """How a layer is stored; the value is its OCI media type."""

    NONE = _LAYER
    GZIP = f"{_LAYER}+gzip"
    ZSTD = f"{_LAYER}+zstd"


_MAGIC = {b"\x1f\x8b": Compression.GZIP, b"\x28\xb5\x2f\xfd": Compression.ZSTD}


def detect_compression(head: bytes) -> Compression:
    """Tell a blob's compression by its first ``MARK_BYTES``."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), Compression.NONE)


class Decompressor:
    """Decompresses gzip or zstd chunk by chunk; streams may follow each other, as both formats allow.

    Raises:
        ArchiveFormatError: the bytes are damaged, cut off, or hold more than ``max_bytes``, or else than any
            layer may.
    """

    def __init__(self, compression: Compression, *, max_bytes: int | None = None) -> None:
        self._compression = compression
        self._max_bytes = LIMITS.layer_bytes if max_bytes is None else max_bytes
        self._size = 0
        self._start()

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Give what a chunk holds, in pieces of at most ``LIMITS.chunk_bytes``."""
        try:
            while chunk:
                if self._stream.eof:
                    self._start()
                yield from self._pieces_of_stream(chunk)
                chunk = self._stream.unused_data
        except self._errors as error:
            raise ArchiveFormatError(f"a compressed layer is damaged: {error}") from error

    def finish(self) -> None:
        """Check that the last stream came to its end."""
        if not self._stream.eof:
            raise ArchiveFormatError("a compressed layer is cut off")

    def _pieces_of_stream(self, chunk: bytes) -> Iterator[bytes]:
        while True:
            piece = self._stream.decompress(chunk, LIMITS.chunk_bytes)
            self._size += len(piece)
            if self._size > self._max_bytes:
                raise ArchiveFormatError(f"a compressed layer holds more than {self._max_bytes} bytes")
            yield piece
            chunk = getattr(self._stream, "unconsumed_tail", b"")  # zlib hands it back, zstd keeps it
            if self._stream.eof or (not chunk and len(piece) < LIMITS.chunk_bytes):
                return

    def _start(self) -> None:
        # Any: zlib's object has no public type, and the two differ in what they do with unread input
        self._stream: Any
        if self._compression is Compression.GZIP:
            self._stream = zlib.decompressobj(wbits=31)
            self._errors: tuple[type[Exception], ...] = (zlib.error,)
            return
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        self._stream = zstd.ZstdDecompressor()
        self._errors = (zstd.ZstdError,)
