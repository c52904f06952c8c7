"""The payload: 64 KiB chunks under ChaCha20-Poly1305, bound to place and end (C2SP age.md, "Payload").

A reader gives out bytes of chunks that were authenticated, and no others.
"""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from binary_split.archive.age.crypto import damaged
from binary_split.archive.age.intake import Intake
from binary_split.config import KIB, MIB
from binary_split.errors import BinarySplitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

CHUNK_BYTES = 64 * KIB
TAG_BYTES = 16
SEALED_BYTES = CHUNK_BYTES + TAG_BYTES
NONCE_BYTES = 16
SPAN_CHUNKS = 8
"""A thread's task: long against the cost of handing it over, short against the cache."""
_READ_ALL_STEP = MIB


def chunk_nonce(index: int, *, final: bool) -> bytes:
    """Return a chunk's nonce (12 bytes): its index in 11 bytes, big-endian, then 1 on the final one."""
    return index.to_bytes(11, "big") + (b"\x01" if final else b"\x00")


def plaintext_size(sealed: int) -> int:
    """Return how many bytes the payload holds that has ``sealed`` bytes behind its nonce.

    Raises:
        ArchiveDamagedError: no payload has that length.
    """
    chunks = max(1, -(-sealed // SEALED_BYTES))
    last = sealed - (chunks - 1) * SEALED_BYTES
    if last < TAG_BYTES or (last == TAG_BYTES and chunks > 1):
        raise damaged()
    return sealed - chunks * TAG_BYTES


class ChunkRun:
    """Buffers for consecutive chunks that a thread opens or seals in one go, used again and again.

    Attributes:
        sealed: as in the payload.
        plain: what they hold.
        chunks: each chunk's place in both: slicing anew costs as much as 4 KiB of cipher.
    """

    __slots__ = ("chunks", "plain", "sealed")

    def __init__(self, count: int = SPAN_CHUNKS) -> None:
        self.sealed = memoryview(bytearray(count * SEALED_BYTES))
        self.plain = memoryview(bytearray(count * CHUNK_BYTES))
        self.chunks = [
            (
                self.sealed[at * SEALED_BYTES : (at + 1) * SEALED_BYTES],
                self.plain[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES],
            )
            for at in range(count)
        ]


class PayloadReader(io.RawIOBase):
    """A reader of authenticated bytes, not for several threads at once.

    A read is short only at the end, or before bytes that fail: those raise at the next read.
    """

    @abstractmethod
    def _verified(self) -> memoryview:
        """Return authenticated bytes at the position, none only at the true end.

        Raises:
            ArchiveDamagedError: the bytes at the position are not authentic, or the end is not the true one.
            ArchiveUnreadableError: the source failed.
        """

    @abstractmethod
    def _advance(self, count: int) -> None:
        """Move the position over ``count`` of the bytes that `_verified` returned."""

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill ``buffer`` as far as the payload goes, and return how many bytes it holds now.

        Raises:
            ArchiveDamagedError: nothing could be read, for the next bytes are damaged.
            ArchiveUnreadableError: nothing could be read, for the source failed.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file")
        filled = 0
        with memoryview(buffer) as view, view.cast("B") as target:
            while filled < len(target):
                try:
                    piece = self._verified()
                except BinarySplitError:
                    if filled:
                        break
                    raise
                if not piece:
                    break
                count = min(len(piece), len(target) - filled)
                target[filled : filled + count] = piece[:count]
                self._advance(count)
                filled += count
        return filled

    def pieces(self) -> Iterator[memoryview]:
        """Yield what is left without copying it; each piece is good until the next one is asked for.

        Raises:
            ArchiveDamagedError: the next bytes are damaged.
            ArchiveUnreadableError: the source failed.
        """
        while piece := self._verified():
            self._advance(len(piece))
            yield piece.toreadonly()

    def readall(self) -> bytes:
        """Return everything that is left; nothing at all where any of it is damaged.

        Raises:
            ArchiveDamagedError: as `readinto`.
            ArchiveUnreadableError: as `readinto`.
        """
        parts: list[bytes] = []
        while part := self.read(_READ_ALL_STEP):
            parts.append(part)
        return b"".join(parts)


class ForwardReader(PayloadReader):
    """Decrypts a payload from any source, in order and in constant memory.

    The end is reported only where the final chunk was authenticated and nothing follows it.

    Args:
        intake: stands behind the payload's nonce.
        key: the payload key (32 bytes).
    """

    def __init__(self, intake: Intake, key: bytes) -> None:
        self._intake = intake
        self._aead = ChaCha20Poly1305(key)
        self._plain = bytearray(CHUNK_BYTES)
        self._ready = memoryview(b"")
        self._index = 0
        self._ended = False
        self._damaged = False

    def _verified(self) -> memoryview:
        if not self._ready and not self._ended and not self._damaged:
            self._next_chunk()
        if not self._ready:
            # A final chunk is authentic wherever it is; the end is where nothing follows it.
            if self._ended and not self._intake.at_end():
                self._damaged = True
            if self._damaged:
                raise damaged()
        return self._ready

    def _advance(self, count: int) -> None:
        self._ready = self._ready[count:]

    def _next_chunk(self) -> None:
        size = self._open(self._intake.read(SEALED_BYTES))
        if size is None or (size == 0 and self._index > 0):
            self._damaged = True
            return
        self._index += 1
        self._ready = memoryview(self._plain)[:size]

    def _open(self, sealed: bytes) -> int | None:
        """Decrypt into the buffer: return how many bytes, None where they fail authentication."""
        # A full chunk is the final one only at the very end, so that is tried second.
        for final in (False, True) if len(sealed) == SEALED_BYTES else (True,):
            size = open_chunk(
                self._aead, self._index, memoryview(sealed), memoryview(self._plain), final=final
            )
            if size is not None:
                self._ended = final
                return size
        return None


def open_chunk(
    aead: ChaCha20Poly1305, index: int, sealed: memoryview, plain: memoryview, *, final: bool
) -> int | None:
    """Decrypt one chunk (16 bytes to 64 KiB + 16) into ``plain``.

    Returns:
        How many bytes of ``plain`` are authentic; None where none are, whatever it holds now.
    """
    size = len(sealed) - TAG_BYTES
    if size < 0:
        return None
    try:
        target = plain if size == len(plain) else plain[:size]
        return aead.decrypt_into(chunk_nonce(index, final=final), sealed, None, target)
    except InvalidTag:
        return None
