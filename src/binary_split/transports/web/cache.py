"""Blocks of archives on disk, for an unlock that was broken off: it goes on from there in another run.

What is here is ciphertext that was authentic when it was kept; nothing of it is trusted when it is read.
"""

from __future__ import annotations

import io
from contextlib import suppress

from cryptography.hazmat.primitives import hashes

from binary_split.archive.age import read_header, read_nonce
from binary_split.config import LIMITS
from binary_split.errors import ArchiveError
from binary_split.oci.blob import hash_bytes
from binary_split.transports.options import HttpOptions
from binary_split.transports.web.cache_folder import CacheFolder

_DIGEST_BYTES = 32


class BlockCache:
    """The blocks of one archive, each with a digest before it; for any number of threads.

    Args:
        folder: holds them, and those of others.
        name: of the archive (`name_in_cache`).
    """

    def __init__(self, folder: CacheFolder, name: str) -> None:
        self._folder = folder
        self._name = name

    def read(self, offset: int, size: int) -> bytes | None:
        """Return a block as it was kept; None where there is none. One that has changed is thrown away."""
        name = self._block_name(offset)
        content = self._folder.read(name, _DIGEST_BYTES + size + 1)
        if content is None:
            return None
        digest, block = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if len(block) == size and _digest(name, block) == digest:
            return block
        self.drop(offset)
        return None

    def keep(self, offset: int, block: bytes | bytearray) -> None:
        """Keep a block, if there is room; whatever goes wrong, it is only not kept."""
        name = self._block_name(offset)
        self._folder.write(name, (_digest(name, block), block))

    def drop(self, offset: int) -> None:
        """Keep a block no more."""
        self._folder.remove(self._block_name(offset))

    def close(self) -> None:
        """Keep nothing more."""
        self._folder.close()

    def _block_name(self, offset: int) -> str:
        return f"{self._name}-{offset // LIMITS.http_block_bytes:08x}"


def open_cache(options: HttpOptions, head: bytes | bytearray, size: int) -> BlockCache | None:
    """Open the cache of an archive; None where none is wanted, or none is possible.

    Args:
        options: name the folder, and are told why it cannot be used.
        head: the archive's first bytes, its whole header among them.
        size: of the archive, in bytes.
    """
    wanted, name = options.cache, name_in_cache(head, size)
    if wanted is None or name is None:
        return None
    try:
        folder = CacheFolder(wanted.folder, max_bytes=wanted.max_bytes, own=name, note=options.note)
    except OSError as error:
        options.note(f"the cache {wanted.folder} cannot be used: {error.strerror or error}")
        return None
    return BlockCache(folder, name)


def name_in_cache(head: bytes | bytearray, size: int) -> str | None:
    """Return what names an `age` archive: its header, its nonce and its size, under one digest.

    What was drawn for them makes the first two of any two archives differ, and a header that was written anew
    for others is another one too. None where nothing is kept: of a ``cbc`` archive no piece proves itself,
    and an armored one is read as a whole.
    """
    with suppress(ArchiveError):
        header = read_header(io.BytesIO(head)).serialise()
        if head.startswith(header):
            return hash_bytes(header + read_nonce(io.BytesIO(head)) + size.to_bytes(8, "big")).hex[:32]
    return None


def _digest(name: str, block: bytes | bytearray) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(name.encode())
    digest.update(block)
    return digest.finalize()
