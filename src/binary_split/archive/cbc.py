"""The original archive format ``cbc``: ``IV(16) || AES-256-CBC(PKCS#7(plaintext))``, key = SHA-256(fragment).

The format has no authentication. A wrong fragment or a damaged file shows only where the length or the
padding is impossible, and both are reported in the same words: ``wrong fragment or damaged archive``.
Whatever else was changed comes out as garbage without notice, and whoever flips a bit of one block flips
that very bit in the next: what is read here must be checked against a digest before it is trusted.

Specified in ``docs/archive-formats.md``.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from binary_split.archive.crew import Crew, Job
from binary_split.archive.positioned import Positioned, SeekableBytes, SeekableSource, Stretches
from binary_split.config import LIMITS
from binary_split.errors import ArchiveDamagedError
from binary_split.model import Fragment, Readable

BLOCK = 16
"""AES block, IV and the least amount of padding, in bytes."""


def derive_key(fragment: Fragment) -> bytes:
    """Return the AES-256 key (32 bytes) of a fragment: its SHA-256."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(fragment.reveal())
    return digest.finalize()


class CbcReader(SeekableBytes):
    """The plaintext of a ``cbc`` archive as a seekable, read-only file, in constant memory.

    CBC decrypts from any block, given the block before it as IV. The padding is read first, so a wrong
    fragment is noticed (but for 1 in about 250) before a byte is released.

    Args:
        source: the archive, seekable; this reader and its forks use it alone.
        fragment: the fragment that the archive was sealed with.

    Raises:
        ArchiveDamagedError: length or padding is impossible.
        ArchiveUnreadableError: the source is shorter than it said it was.
    """

    def __init__(self, source: SeekableSource | Positioned, fragment: Fragment) -> None:
        super().__init__()
        self._source = source if isinstance(source, Positioned) else Positioned(source)
        self._fragment = fragment
        self._key = derive_key(fragment)
        self._sealed_size = self._source.size()
        _check_length(self._sealed_size)
        self._window = _Window()
        self.size = self._sealed_size - BLOCK
        self._fetch(self._window, self.size - BLOCK)
        self.size -= _padding_length(bytes(self._window.plain[:BLOCK]))

    def sealed_bytes(self, start: int, size: int) -> int:
        """Return how many bytes of the archive must be read for a stretch of the plaintext."""
        return BLOCK + -(-(start + size) // BLOCK) * BLOCK - start // BLOCK * BLOCK

    def expect(self, stretches: Stretches) -> None:
        """Tell the source which stretches of the plaintext are all that will be read from now on."""
        starts = [(start // BLOCK * BLOCK, self.sealed_bytes(start, size)) for start, size in stretches]
        self._source.expect(starts)

    def fork(self) -> CbcReader:
        """Return another reader of the same archive, for use beside this one."""
        return CbcReader(self._source, self._fragment)

    def chunks(self) -> Iterator[memoryview]:
        """Give the rest of the plaintext, decrypted ahead; a chunk is valid until the next is asked for."""
        crew = Crew(None, name="cbc-ahead")
        ahead: deque[tuple[_Window, Job]] = deque()
        spare = [_Window() for _each in range(2 * (crew.size + 1))]
        start = self._position // BLOCK * BLOCK
        try:
            while self._position < self.size:
                while spare and start < self.size:
                    window = spare.pop()
                    ahead.append((window, crew.submit(partial(self._fetch, window, start))))
                    start += LIMITS.chunk_bytes
                window, fetched = ahead.popleft()
                crew.finish(fetched)
                chunk = window.stretch(self._position, self.size)
                self._position += len(chunk)
                yield chunk
                spare.append(window)
        finally:
            for _window, fetched in ahead:
                fetched.cancel()
            crew.close()

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill ``buffer`` with plaintext as far as one window reaches; 0 at the end."""
        position = self._position
        if position >= self.size:
            return 0
        if not self._window.start <= position < self._window.end:
            self._fetch(self._window, position // BLOCK * BLOCK)
        chunk = self._window.stretch(position, min(self.size, position + len(buffer)))
        buffer[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def _fetch(self, window: _Window, start: int) -> None:
        """Read and decrypt the stretch of the plaintext that begins at ``start``, a multiple of a block."""
        length = min(LIMITS.chunk_bytes, self._sealed_size - BLOCK - start)
        sealed = window.sealed[: BLOCK + length]
        window.end = window.start  # until the read has not failed
        self._source.read_at(start, sealed)
        context = Cipher(algorithms.AES256(self._key), modes.CBC(sealed[:BLOCK])).decryptor()
        context.update_into(sealed[BLOCK:], window.plain)
        window.start, window.end = start, start + length


class _Window:
    """A stretch of the plaintext, from ``start`` to ``end``.

    Attributes:
        sealed: its ciphertext, behind the block that is its IV.
        plain: what it holds.
    """

    def __init__(self) -> None:
        self.start = self.end = 0
        self.sealed = memoryview(bytearray(BLOCK + LIMITS.chunk_bytes))
        self.plain = memoryview(bytearray(LIMITS.chunk_bytes + BLOCK))

    def stretch(self, position: int, end: int) -> memoryview:
        """Return what it holds from ``position`` on, but nothing from ``end`` on."""
        return self.plain[position - self.start : min(self.end, end) - self.start]


def iter_plaintext(source: Readable, fragment: Fragment) -> Iterator[memoryview]:
    """Decrypt a source that cannot seek, chunk by chunk; each chunk is valid until the next is asked for.

    The last block is held back until the end shows its padding, so all chunks but the padding are released.

    Raises:
        ArchiveDamagedError: length or padding is impossible; what was released before must be thrown away.
    """
    iv = _read_up_to(source, BLOCK)
    if len(iv) < BLOCK:
        _check_length(len(iv))
    context = Cipher(algorithms.AES256(derive_key(fragment)), modes.CBC(iv)).decryptor()
    plain = bytearray(LIMITS.chunk_bytes + 2 * BLOCK)
    size, held = BLOCK, 0  # held: the last whole block of the chunk before, at the front of `plain`
    while chunk := _read_up_to(source, LIMITS.chunk_bytes):
        size += len(chunk)
        count = held + context.update_into(chunk, memoryview(plain)[held:])
        release = max(count - BLOCK, 0)
        yield memoryview(plain)[:release]
        plain[: count - release] = plain[release:count]
        held = count - release
    _check_length(size)
    yield memoryview(plain)[: BLOCK - _padding_length(plain[:BLOCK])]


class Sink(Protocol):
    """Where an archive goes."""

    def write(self, chunk: bytes | memoryview, /) -> int:
        """Take all of some bytes."""


class CbcWriter:
    """Encrypts what is written to it into ``sink``; :meth:`finish` ends the archive.

    The random IV goes out at once. A sink that is never finished holds no archive.
    """

    def __init__(self, sink: Sink, fragment: Fragment) -> None:
        iv = os.urandom(BLOCK)
        self._sink = sink
        self._context = Cipher(algorithms.AES256(derive_key(fragment)), modes.CBC(iv)).encryptor()
        self._sealed = bytearray(LIMITS.chunk_bytes + BLOCK)
        self._size = 0
        sink.write(iv)

    def write(self, plaintext: bytes | bytearray | memoryview) -> None:
        """Encrypt some bytes of plaintext, of any length."""
        view = memoryview(plaintext)
        self._size += len(view)
        for start in range(0, len(view), LIMITS.chunk_bytes):
            count = self._context.update_into(view[start : start + LIMITS.chunk_bytes], self._sealed)
            self._sink.write(memoryview(self._sealed)[:count])

    def finish(self) -> None:
        """Write the padded last block."""
        length = BLOCK - self._size % BLOCK
        self.write(bytes([length]) * length)


def _check_length(size: int) -> None:
    if size < 2 * BLOCK or size % BLOCK:
        raise ArchiveDamagedError(f"wrong fragment or damaged archive: none is {size} bytes long")


def _padding_length(last_block: bytes | bytearray) -> int:
    length = last_block[-1]
    if not 1 <= length <= BLOCK or last_block[-length:] != bytes([length]) * length:
        raise ArchiveDamagedError
    return length


def _read_up_to(source: Readable, size: int) -> bytes:
    """Read until ``size`` bytes or the end: a pipe gives what it has, not what was asked for."""
    chunk = bytearray()
    while len(chunk) < size and (part := source.read(size - len(chunk))):
        chunk += part
    return bytes(chunk)
