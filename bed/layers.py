"""Image layers written straight to disk: deterministic tars of any size in constant memory."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol, cast

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

COPY_BYTES = 1 << 20
_ZEROS = bytes(COPY_BYTES)

Filler = Literal["random", "zeros"]


@dataclass(frozen=True, slots=True)
class Layer:
    """An uncompressed layer on disk.

    Attributes:
        diff_id: SHA-256 of the tar, hex digits only.
        size: bytes of the tar.
    """

    diff_id: str
    size: int
    path: Path


class Readable(Protocol):
    """What a tar member is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a layer: a file, or a symbolic link where ``link`` is given."""

    name: str
    size: int = 0
    source: Readable | None = None
    mode: int = 0o644
    link: str | None = None

    @classmethod
    def text(cls, name: str, text: str, *, mode: int = 0o644) -> Entry:
        """Make a small text file."""
        return cls.of(name, text.encode(), mode=mode)

    @classmethod
    def of(cls, name: str, content: bytes, *, mode: int = 0o644) -> Entry:
        """Make a file from bytes in memory."""
        return cls(name, len(content), io.BytesIO(content), mode)


class Noise:
    """An endless stream of bytes that no compressor shrinks, the same for the same name."""

    def __init__(self, name: str) -> None:
        key = hashlib.sha256(name.encode()).digest()
        self._keystream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def read(self, size: int = -1, /) -> bytes:
        """Return exactly ``size`` bytes, at most one copy buffer at a time."""
        return self._keystream.update(_ZEROS[:size] if size >= 0 else _ZEROS)


class Zeros:
    """An endless stream of zero bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return exactly ``size`` bytes, at most one copy buffer at a time."""
        return _ZEROS[:size] if size >= 0 else _ZEROS


class HashingWriter:
    """A file that is written in order and knows its SHA-256 and size at the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> int:
        """Write and hash one chunk."""
        self._hash.update(chunk)
        self.size += len(chunk)
        return self._file.write(chunk)

    def flush(self) -> None:
        """Flush the file below."""
        self._file.flush()

    @property
    def hex(self) -> str:
        """The SHA-256 of all that was written so far."""
        return self._hash.hexdigest()


def filler(name: str, size: int, seed: str, kind: Filler) -> Entry:
    """Make a file of ``size`` bytes whose content is told by ``seed`` alone."""
    return Entry(name, size, Noise(seed) if kind == "random" else Zeros())


def write_layer(folder: Path, entries: Sequence[Entry]) -> Layer:
    """Write ``entries`` as one layer tar named by its digest into ``folder``.

    Folders on the way to each entry are added once, as ``docker build`` does.
    """
    partial = folder / "layer.partial"
    with partial.open("wb") as raw:
        out = HashingWriter(raw)
        with open_tar(out) as tar:
            for parent in _parents(entries):
                add_folder(tar, parent)
            for entry in entries:
                add_entry(tar, entry)
    return Layer(out.hex, out.size, partial.rename(folder / out.hex))


def open_tar(out: HashingWriter | IO[bytes]) -> tarfile.TarFile:
    """Open a tar for writing in order, in large copies."""
    return tarfile.TarFile(fileobj=cast("IO[bytes]", _Positioned(out)), mode="w", copybufsize=COPY_BYTES)


def add_folder(tar: tarfile.TarFile, name: str) -> None:
    """Add a folder entry, its name ending in a slash."""
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    member.mode = 0o755
    tar.addfile(member)


def add_entry(tar: tarfile.TarFile, entry: Entry) -> None:
    """Add one file or symbolic link."""
    member = tarfile.TarInfo(entry.name)
    member.mode = entry.mode
    if entry.link is not None:
        member.type = tarfile.SYMTYPE
        member.linkname = entry.link
        member.mode = 0o777
        tar.addfile(member)
        return
    member.size = entry.size
    tar.addfile(member, cast("IO[bytes] | None", entry.source))


class _Positioned:
    """Gives a write-only stream the ``tell`` that tarfile asks for when it starts."""

    def __init__(self, out: HashingWriter | IO[bytes]) -> None:
        self._out = out
        self._position = 0

    def write(self, chunk: bytes) -> int:
        self._position += len(chunk)
        return self._out.write(chunk)

    def tell(self) -> int:
        return self._position


def _parents(entries: Sequence[Entry]) -> list[str]:
    found = {str(parent) for entry in entries for parent in Path(entry.name).parents}
    return sorted(found - {"."})
