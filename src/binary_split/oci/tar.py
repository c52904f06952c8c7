"""A strict reader of image tars, and the headers that we write.

Only what an image archive needs is accepted: files, folders, and links (which old ``docker save`` makes for
shared layers); never a device, an absolute path, ``..``, a sparse file or a name twice. Every length that a
header states is bounded before it is believed. Nothing is ever extracted under a name from the tar.

Formats: POSIX.1-2017 pax (ustar and extended headers), and GNU long names and base-256 sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError
from binary_split.model import ByteSource

RECORD = 512
"""The unit of a tar, in bytes."""

END = bytes(2 * RECORD)
"""What ends a tar."""

_OCTAL_MAX = 8**11


class Kind(Enum):
    """What a member is."""

    FILE = b"0"
    HARD_LINK = b"1"
    SYMBOLIC_LINK = b"2"
    FOLDER = b"5"


@dataclass(frozen=True, slots=True)
class TarMember:
    """A member's header.

    Attributes:
        name: normalised path without ``./`` and trailing ``/``.
        offset: where its content begins in the tar, in bytes.
        size: length of its content, in bytes.
        target: what a link points to, as written; else empty.
    """

    name: str
    kind: Kind
    offset: int
    size: int
    target: str = ""


@dataclass(slots=True)
class _Overrides:
    """What an extended header says of the next member."""

    name: str | None = None
    target: str | None = None
    size: int | None = None


class TarReader:
    """Iterates over the members of a tar; :meth:`chunks` gives the content of the current one.

    Content that is not asked for is seeked over where the source can seek, else read over.

    Args:
        source: the tar, at its beginning.

    Raises:
        ArchiveFormatError: on iteration: the tar is malformed, cut off, or holds what no image archive does.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._can_seek = source.seekable()
        self._kinds: dict[str, Kind] = {}
        self._at = 0  # the next byte of the source
        self._content_end = 0
        self._next_header = 0
        self._buffer = bytearray(LIMITS.chunk_bytes)

    def __iter__(self) -> Iterator[TarMember]:
        overrides = _Overrides()
        while True:
            self._skip_to(self._next_header)
            header = self._read(RECORD)
            if header == bytes(RECORD):
                return
            _verify_checksum(header)
            size, kind = _parse_number(header[124:136]), header[156:157]
            if kind in b"xgLK" and kind:
                self._parse_extension(kind, size, overrides)
                continue
            yield self._member(header, size, overrides)
            overrides = _Overrides()

    def chunks(self) -> Iterator[memoryview]:
        """Give the content of the current member; each chunk is valid until the next one is asked for."""
        while self._at < self._content_end:
            view = memoryview(self._buffer)[: self._content_end - self._at]
            count = self._source.readinto(view) or 0
            if not count:
                _refuse_cut_off()
            self._at += count
            yield view[:count]

    def drain(self) -> None:
        """Read the source to its end, whatever follows the tar's own."""
        while self._source.readinto(self._buffer):
            pass

    def _member(self, header: bytes, size: int, overrides: _Overrides) -> TarMember:
        kind_byte = b"0" if header[156:157] == b"\0" else header[156:157]
        name = overrides.name if overrides.name is not None else _parse_name(header)
        if kind_byte not in {kind.value for kind in Kind}:
            raise ArchiveFormatError(f"the tar holds {name!r}, which is no file, folder or link")
        kind = Kind(kind_byte)
        if overrides.size is not None:
            size = overrides.size
        if kind is not Kind.FILE:
            size = 0
        name = _check_name(name, kind)
        if name in self._kinds and {kind, self._kinds[name]} != {Kind.FOLDER}:
            raise ArchiveFormatError(f"the tar holds {name!r} twice")
        self._kinds[name] = kind
        if len(self._kinds) > LIMITS.tar_members:
            raise ArchiveFormatError(f"the tar holds more than {LIMITS.tar_members} members")
        self._expect(size)
        target = overrides.target if overrides.target is not None else _parse_text(header[157:257])
        return TarMember(name, kind, self._at, size, target if kind in _LINKS else "")

    def _parse_extension(self, kind: bytes, size: int, overrides: _Overrides) -> None:
        if size > LIMITS.tar_pax_bytes:
            raise ArchiveFormatError(f"the tar has an extended header of {size} bytes")
        self._expect(size)
        content = self._read(size)
        if kind == b"L":
            overrides.name = _parse_text(content)
        elif kind == b"K":
            overrides.target = _parse_text(content)
        elif kind == b"x":
            _parse_pax(content, overrides)
        # a global pax header (g) holds comments; what else it may say is never written by a `save`

    def _expect(self, size: int) -> None:
        if size > LIMITS.layer_bytes:
            raise ArchiveFormatError(f"the tar has a member of {size} bytes, larger than any layer")
        self._content_end = self._at + size
        self._next_header = self._at + padded(size)

    def _skip_to(self, offset: int) -> None:
        if self._can_seek:
            if offset != self._at:
                self._source.seek(offset - self._at, 1)
                self._at = offset
            return
        self._content_end = offset
        for _chunk in self.chunks():
            pass

    def _read(self, size: int) -> bytes:
        content = bytearray()
        while len(content) < size:
            part = self._source.read(size - len(content))
            if not part:
                _refuse_cut_off()
            content += part
        self._at += size
        return bytes(content)


def padded(size: int) -> int:
    """Return how many bytes a content of ``size`` bytes takes in a tar."""
    return -(-size // RECORD) * RECORD


def serialise_header(name: str, size: int) -> bytes:
    """Return the header (512 bytes) of a file: owned by root, mode 0644, dated 1970, so always the same.

    Sizes from 8 GiB on are written in base-256, as GNU tar and Go do.
    """
    size_field = b"%011o\0" % size if size < _OCTAL_MAX else b"\x80" + size.to_bytes(11)
    header = b"".join(
        (
            name.encode().ljust(100, b"\0"),
            b"0000644\0" + b"0000000\0" * 2,
            size_field,
            b"00000000000\0",
            b" " * 8,
            Kind.FILE.value,
            bytes(100),
            b"ustar\x0000",
            bytes(64),
            b"0000000\0" * 2,
        )
    ).ljust(RECORD, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


_LINKS = (Kind.HARD_LINK, Kind.SYMBOLIC_LINK)


def _refuse_cut_off() -> NoReturn:
    raise ArchiveFormatError("the tar is cut off")


def _verify_checksum(header: bytes) -> None:
    stated = _parse_number(header[148:156])
    if stated != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise ArchiveFormatError("this is no tar, or its headers are damaged")


def _parse_number(text: bytes) -> int:
    if text[0] == 0x80:
        return int.from_bytes(text[1:])
    digits = text.strip(b" \0")
    if not all(byte in b"01234567" for byte in digits):
        raise ArchiveFormatError("this is no tar, or its headers are damaged")
    return int(digits or b"0", 8)


def _parse_name(header: bytes) -> str:
    name = _parse_text(header[:100])
    prefix = _parse_text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _parse_text(content: bytes) -> str:
    try:
        return content.partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        raise ArchiveFormatError("the tar has a name that is not UTF-8") from None


def _parse_pax(content: bytes, overrides: _Overrides) -> None:
    """Parse records ``<length> <key>=<value><newline>``; the length counts the whole record."""
    while content:
        length_text, _, _rest = content.partition(b" ")
        length = int(length_text) if length_text.isdigit() and len(length_text) < 8 else 0
        record = content[len(length_text) + 1 : length]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or length > len(content) or record[-1:] != b"\n":
            raise ArchiveFormatError("the tar has a malformed extended header")
        if key == b"path":
            overrides.name = _parse_text(value)
        elif key == b"linkpath":
            overrides.target = _parse_text(value)
        elif key == b"size":
            overrides.size = int(value) if value.isdigit() and len(value) < 20 else -1
        if overrides.size == -1 or key.startswith(b"GNU.sparse"):
            raise ArchiveFormatError("the tar has a member of a kind that no image archive holds")
        content = content[length:]


def _check_name(name: str, kind: Kind) -> str:
    if len(name.encode()) > LIMITS.tar_name_bytes:
        raise ArchiveFormatError("the tar has a name that is too long")
    parts = name.removeprefix("./").rstrip("/").split("/")
    if name.startswith("/") or ".." in parts:
        raise ArchiveFormatError(f"the tar has a name that leads out of it: {name!r}")
    is_root = kind is Kind.FOLDER and len(parts) == 1
    if not is_root and not {"", "."}.isdisjoint(parts):  # two names for one file
        raise ArchiveFormatError(f"the tar has a name that is not canonical: {name!r}")
    return "/".join(parts)
