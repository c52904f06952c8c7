"""Random access to a payload: parallel decryption with read-ahead, in a constant amount of memory."""

from __future__ import annotations

import os
from collections import deque
from functools import partial

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from binary_split.archive.age.crypto import damaged
from binary_split.archive.age.stream import (
    CHUNK_BYTES,
    SEALED_BYTES,
    SPAN_CHUNKS,
    ChunkRun,
    PayloadReader,
    open_chunk,
    plaintext_size,
)
from binary_split.archive.crew import Crew, Job
from binary_split.archive.positioned import Positioned, SeekableSource

_READINGS = 16
"""Of one span, whose bytes are not authentic and whose source may have others."""


class _Span(ChunkRun):
    """Consecutive chunks that are opened together.

    Attributes:
        first: index of the first chunk.
        count: how many chunks.
        verified: how many bytes at the head of ``plain`` are authenticated.
        intact: whether every chunk was authentic; an empty one may be, with nothing verified to show for it.
    """

    __slots__ = ("count", "first", "intact", "verified")

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.first = self.count = self.verified = 0
        self.intact = False

    @property
    def end(self) -> int:
        return self.first + self.count

    def holds(self, chunk: int) -> bool:
        return self.first <= chunk < self.end


class SeekableReader(PayloadReader):
    """Decrypts any part of a payload from a source.

    The final chunk is authenticated before the constructor returns, and with it the length: a payload that
    was cut, or to which something was appended, releases nothing at all. Other chunks are authenticated when
    they are read. Bytes read in order are decrypted ahead by threads; a jump decrypts one chunk (64 KiB).

    Args:
        source: holds the sealed chunks, and is used by this reader and its forks alone; its errors pass where
            they are ours.
        key: the payload key (32 bytes).
        start: offset in ``source`` of the first chunk.
        threads: how many decrypt ahead; by default as `Crew` has it.
        span_chunks: how many chunks a thread decrypts in one go.

    Raises:
        ArchiveDamagedError: the payload does not end in an authentic final chunk.
        ArchiveUnreadableError: the source failed.
    """

    def __init__(
        self,
        source: SeekableSource | Positioned,
        key: bytes,
        *,
        start: int,
        threads: int | None = None,
        span_chunks: int = SPAN_CHUNKS,
    ) -> None:
        self._crew = Crew(threads, name="age-payload")
        self._depth = 2 * (self._crew.size + 1)
        self._span_chunks = span_chunks
        self._ahead: deque[tuple[_Span, Job]] = deque()
        self._spare: list[_Span] = []
        self._ramp = 1
        self._source = source if isinstance(source, Positioned) else Positioned(source)
        self._key = key
        self._aead = ChaCha20Poly1305(key)
        self._start = start
        self._sealed_size = max(self._source.size() - start, 0)
        self._size = plaintext_size(self._sealed_size)
        self._chunks = max(1, -(-self._sealed_size // SEALED_BYTES))
        self._position = 0
        self._current = self._fetch_one(self._chunks - 1)
        if not self._current.intact:
            self.close()
            raise damaged()

    @property
    def size(self) -> int:
        """How many bytes the payload holds; authenticated."""
        return self._size

    def seekable(self) -> bool:
        """Say that every position can be read."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position, beyond the end too, and return it; nothing is read.

        Raises:
            ValueError: the position would be negative, or ``whence`` is none of 0, 1, 2.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file")
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        if whence not in bases or bases[whence] + offset < 0:
            raise ValueError(f"cannot seek to {offset} (whence {whence})")
        self._position = bases[whence] + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes, fewer only as `readinto` has it; all that is left for a negative size.

        Raises:
            ArchiveDamagedError: as `readinto`.
            ArchiveUnreadableError: as `readinto`.
        """
        if size is None or size < 0:
            return self.readall()
        return super().read(min(size, max(self._size - self._position, 0))) or b""

    def sealed_bytes(self, start: int, size: int) -> int:
        """Return how many bytes of the source must be read for a stretch of the payload."""
        chunks = -(-(start + size) // CHUNK_BYTES) - start // CHUNK_BYTES
        return chunks * SEALED_BYTES

    def fork(self) -> SeekableReader:
        """Return another reader of the same payload, with one thread of its own, for use beside this one."""
        # One of many, whose memory adds up.
        return SeekableReader(
            self._source, self._key, start=self._start, threads=1, span_chunks=SPAN_CHUNKS // 2
        )

    def close(self) -> None:
        """Stop the threads; the source stays open."""
        if not self.closed:
            self._discard_ahead()
            self._crew.close()
        super().close()

    def _advance(self, count: int) -> None:
        self._position += count

    def _verified(self) -> memoryview:
        if self._position >= self._size:
            return memoryview(b"")
        chunk = self._position // CHUNK_BYTES
        if not self._current.holds(chunk):
            self._move_to(chunk)
        at = self._position - self._current.first * CHUNK_BYTES
        if at >= self._current.verified:
            raise damaged()
        return self._current.plain[at : self._current.verified]

    def _move_to(self, chunk: int) -> None:
        """Make the span that holds ``chunk`` the current one."""
        in_order = chunk == self._current.end or (
            self._ahead and self._current.end < chunk < self._ahead[-1][0].end
        )
        if not in_order:
            self._discard_ahead()
            self._ramp = 1
            span = self._fetch_one(chunk)
            self._spare.append(self._current)
            self._current = span
            return
        self._spare.append(self._current)
        self._top_up()
        while True:
            span, fetched = self._ahead.popleft()
            try:
                self._crew.finish(fetched)
            except BaseException:
                # The position did not move: the next read asks the source again, from here.
                self._spare.append(span)
                self._discard_ahead()
                self._current = _Span(self._span_chunks)
                raise
            if span.holds(chunk):
                self._current = span
                return
            self._spare.append(span)

    def _top_up(self) -> None:
        """Keep the threads busy with the chunks that come next."""
        first = self._ahead[-1][0].end if self._ahead else self._current.end
        while first < self._chunks and len(self._ahead) < self._depth:
            span = self._take_spare()
            self._ramp = min(2 * self._ramp, self._span_chunks)
            span.first, span.count = first, min(self._ramp, self._chunks - first)
            self._ahead.append((span, self._crew.submit(partial(self._fetch, span))))
            first = span.end

    def _discard_ahead(self) -> None:
        for _, fetched in self._ahead:
            fetched.cancel()
        while self._ahead:
            span, fetched = self._ahead.popleft()
            fetched.settle()  # the thread still writes into the span's buffers
            self._spare.append(span)

    def _take_spare(self) -> _Span:
        return self._spare.pop() if self._spare else _Span(self._span_chunks)

    def _fetch_one(self, chunk: int) -> _Span:
        span = self._take_spare()
        span.first, span.count = chunk, 1
        self._fetch(span)
        return span

    def _fetch(self, span: _Span) -> None:
        """Read and decrypt a span as far as it is authentic; runs in any thread."""
        offset = span.first * SEALED_BYTES
        size = min(span.count * SEALED_BYTES, self._sealed_size - offset)
        for _reading in range(_READINGS):
            self._source.read_at(self._start + offset, span.sealed[:size])
            self._open(span)
            if span.intact:
                self._source.confirm(self._start + offset, size)
                return
            failed = span.verified // CHUNK_BYTES * SEALED_BYTES
            sealed = span.sealed[failed : min(failed + SEALED_BYTES, size)]
            if not self._source.doubt(self._start + offset + failed, sealed):
                return

    def _open(self, span: _Span) -> None:
        """Decrypt a span as far as it is authentic."""
        span.verified, span.intact = 0, False
        for index, (sealed, plain) in zip(range(span.first, span.end), span.chunks, strict=False):
            is_last = index == self._chunks - 1
            if is_last:
                sealed = sealed[: self._sealed_size - index * SEALED_BYTES]  # noqa: PLW2901 - it may be short
            opened = open_chunk(self._aead, index, sealed, plain, final=is_last)
            if opened is None:
                return
            span.verified += opened
        span.intact = True
