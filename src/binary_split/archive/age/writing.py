"""Writing a payload: chunks are sealed by several threads and leave in order (C2SP age.md, "Payload")."""

from __future__ import annotations

from collections import deque
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from binary_split.archive.age.stream import CHUNK_BYTES, SPAN_CHUNKS, TAG_BYTES, ChunkRun, chunk_nonce
from binary_split.archive.crew import Crew, Job

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Sink(Protocol):
    """Whatever takes bytes in order; it must not keep them, for their buffer is used again."""

    def write(self, part: bytes | memoryview, /) -> int | None:
        """Take some or all of ``part`` and return how many bytes; None for all."""


class Readinto(Protocol):
    """Whatever gives bytes in order into a buffer: a raw file."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill some or all of ``buffer`` and return how many bytes; none at the end."""


class _Batch(ChunkRun):
    """Consecutive chunks that are sealed together.

    Attributes:
        first: index of the first chunk.
        filled: how many bytes of ``plain`` are the payload's.
    """

    __slots__ = ("filled", "first")

    def __init__(self) -> None:
        super().__init__()
        self.first = self.filled = 0

    @property
    def room(self) -> int:
        return len(self.plain) - self.filled

    def seal(self, aead: ChaCha20Poly1305, *, is_last: bool) -> None:
        """Encrypt the chunks; runs in any thread."""
        count = max(1, -(-self.filled // CHUNK_BYTES))
        for at, (sealed, plain) in enumerate(self.chunks[:count]):
            final = is_last and at == count - 1
            if final:
                size = self.filled - at * CHUNK_BYTES
                plain, sealed = plain[:size], sealed[: size + TAG_BYTES]  # noqa: PLW2901 - it may be short
            aead.encrypt_into(chunk_nonce(self.first + at, final=final), plain, None, sealed)

    def output(self) -> memoryview:
        """Return the sealed chunks."""
        count = max(1, -(-self.filled // CHUNK_BYTES))
        return self.sealed[: self.filled + count * TAG_BYTES]


class StreamWriter:
    """Encrypts a payload into a sink, in order, by threads, and never closes the sink.

    As a context manager it finishes only where nothing was raised: what is abandoned has no final chunk, and
    no reader takes it for whole. What the sink raises passes through.

    Args:
        sink: where the chunks go, behind the payload's nonce.
        key: the payload key (32 bytes), used for this payload only.
        threads: how many encrypt; by default as `Crew` has it.
    """

    def __init__(self, sink: Sink, key: bytes, *, threads: int | None = None) -> None:
        self._sink = sink
        self._aead = ChaCha20Poly1305(key)
        self._crew = Crew(threads, name="age-sealing")
        self._current = _Batch()  # full at most: its last chunk may yet be the final one
        self._sealing: deque[tuple[_Batch, Job]] = deque()
        self._spare: list[_Batch] = []
        self._finished = False

    def write(self, plaintext: ReadableBuffer) -> int:
        """Take bytes of the payload, and return how many: all of them.

        Raises:
            ValueError: the payload is finished.
        """
        self._check_unfinished()
        with memoryview(plaintext) as view, view.cast("B") as octets:
            at = 0
            while at < len(octets):
                batch = self._current
                if not batch.room:
                    self._follow_with(self._take_batch())
                    continue
                count = min(batch.room, len(octets) - at)
                batch.plain[batch.filled : batch.filled + count] = octets[at : at + count]
                batch.filled += count
                at += count
            return len(octets)

    def write_from(self, source: Readinto) -> int:
        """Take some bytes of the payload straight from a source; return how many: none at its end.

        Raises:
            ValueError: the payload is finished.
        """
        self._check_unfinished()
        batch = self._current if self._current.room else self._take_batch()
        count = source.readinto(batch.plain[batch.filled :]) or 0
        batch.filled += count
        if batch is not self._current:
            # A full batch that nothing follows holds the final chunk.
            self._follow_with(batch) if count else self._spare.append(batch)
        return count

    def finish(self) -> None:
        """Write the final chunk; a second call does nothing."""
        if self._finished:
            return
        self._finished = True
        try:
            self._seal_current(is_last=True)
            while self._sealing:
                self._write_oldest()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End the threads; without `finish` before, what was written is no payload."""
        self._finished = True
        while self._sealing:
            self._sealing.popleft()[1].cancel()
        self._crew.close()

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        self.abandon()

    def _check_unfinished(self) -> None:
        if self._finished:
            raise ValueError("write to a finished payload")

    def _take_batch(self) -> _Batch:
        batch = self._spare.pop() if self._spare else _Batch()
        batch.filled = 0
        return batch

    def _follow_with(self, batch: _Batch) -> None:
        """Have the current batch sealed, which is full, and go on with another."""
        self._seal_current(is_last=False)
        batch.first = self._current.first + SPAN_CHUNKS
        self._current = batch

    def _seal_current(self, *, is_last: bool) -> None:
        batch = self._current
        self._sealing.append((batch, self._crew.submit(partial(batch.seal, self._aead, is_last=is_last))))
        if len(self._sealing) > 2 * self._crew.size + 1:
            self._write_oldest()

    def _write_oldest(self) -> None:
        batch, sealing = self._sealing.popleft()
        self._crew.finish(sealing)
        write_all(self._sink, batch.output())
        self._spare.append(batch)


def write_all(sink: Sink, part: bytes | memoryview) -> None:
    """Write all of ``part``, to a raw sink too, which may take less at a time."""
    while part:
        taken = sink.write(part)
        if taken is None or taken >= len(part):
            return
        part = part[taken:]
