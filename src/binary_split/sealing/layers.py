"""Layers on their way into a release: made plain, compressed, and kept where a second pass finds them."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives import hashes

from binary_split.model import Digest
from binary_split.oci.blob import Blob
from binary_split.oci.compression import Compression, Decompressor, detect_compression
from binary_split.sealing.spool import Spool

_WORTH_IT = 0.95  # a compressed layer is kept if it has at most this share of the plain one's size
_ZSTD_LEVEL = 3
_GZIP_LEVEL = 6


class _Compressor(Protocol):
    def compress(self, chunk: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SpooledLayer:
    """A member of the exported tar as it waits in the spool.

    Attributes:
        start: where it begins in the spool, in bytes.
        size: as it is spooled.
        plain_size: uncompressed.
        digest: of the spooled bytes.
    """

    start: int
    size: int
    plain_size: int
    digest: Digest
    compression: Compression

    def stored(self, diff_id: Digest) -> Blob:
        """Return the blob that the release holds: compressed where that is worth it, else plain."""
        if self.compression is Compression.NONE or self.size > self.plain_size * _WORTH_IT:
            return Blob(diff_id, diff_id, self.plain_size, Compression.NONE, self.plain_size)
        return Blob(self.digest, diff_id, self.size, self.compression, self.plain_size)


class LayerSpooler:
    """Takes the members of a tar one after the other; each is spooled as its layer would be stored.

    Args:
        spool: where they go.
        compression: what to try.
    """

    def __init__(self, spool: Spool, compression: Compression) -> None:
        self._spool = spool
        self._compression = compression
        self._name: str | None = None
        self._member = _Member(spool, compression)
        self._layers: dict[str, SpooledLayer] = {}

    def keep(self, name: str, chunk: memoryview) -> None:
        """Take the next bytes of a member."""
        if name != self._name:
            self._end_member()
            self._name, self._member = name, _Member(self._spool, self._compression)
        self._member.update(bytes(chunk))

    def layers(self) -> dict[str, SpooledLayer]:
        """Return everything that was spooled, by the member's name; nothing more can be kept."""
        self._end_member()
        return self._layers

    def _end_member(self) -> None:
        if self._name is not None:
            self._layers[self._name] = self._member.finish()
        self._name = None


def open_stored(spool: Spool, layer: SpooledLayer, blob: Blob) -> Iterator[bytes]:
    """Give a layer's bytes as ``blob`` stores them: what was compressed for nothing is made plain again."""
    spooled = spool.read(layer.start, layer.size)
    if blob.compression is layer.compression:
        yield from spooled
        return
    decompressor = Decompressor(layer.compression)
    for chunk in spooled:
        yield from decompressor.pieces(chunk)
    decompressor.finish()


class _Member:
    def __init__(self, spool: Spool, compression: Compression) -> None:
        self._spool = spool
        self._start = spool.size
        self._compression = compression
        self._compressor = _new_compressor(compression)
        self._decompressor: Decompressor | None = None
        self._hash = hashes.Hash(hashes.SHA256())
        self._is_begun = False
        self._plain_size = 0

    def update(self, chunk: bytes) -> None:
        """Take stored bytes; what came compressed is made plain first, so that all layers are alike."""
        if not self._is_begun:
            self._is_begun = True
            arrived = detect_compression(chunk[:4])
            self._decompressor = None if arrived is Compression.NONE else Decompressor(arrived)
        if self._decompressor is None:
            self._take(chunk)
            return
        for piece in self._decompressor.pieces(chunk):
            self._take(piece)

    def finish(self) -> SpooledLayer:
        if self._decompressor is not None:
            self._decompressor.finish()
        if self._compressor is not None:
            self._put(self._compressor.flush())
        digest = Digest(self._hash.finalize().hex())
        size = self._spool.size - self._start
        return SpooledLayer(self._start, size, self._plain_size, digest, self._compression)

    def _take(self, plain: bytes) -> None:
        self._plain_size += len(plain)
        self._put(plain if self._compressor is None else self._compressor.compress(plain))

    def _put(self, stored: bytes) -> None:
        if stored:
            self._hash.update(stored)
            self._spool.write(stored)


def _new_compressor(compression: Compression) -> _Compressor | None:
    if compression is Compression.NONE:
        return None
    if compression is Compression.GZIP:
        return zlib.compressobj(_GZIP_LEVEL, wbits=31)
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    parameters = zstd.CompressionParameter
    # with workers the bytes do not depend on how many there are, without any they do
    workers = max(1, len(os.sched_getaffinity(0)))
    return zstd.ZstdCompressor(
        options={parameters.compression_level: _ZSTD_LEVEL, parameters.nb_workers: workers}
    )
