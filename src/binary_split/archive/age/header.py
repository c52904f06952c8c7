"""The age v1 header: a strict, canonical parser and its serialiser (C2SP age.md, "Header").

What `serialise` would not write, the parser does not read: so parsing and writing again gives the same bytes,
and the MAC may be computed over either.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from binary_split.archive.age.crypto import header_mac
from binary_split.archive.age.encoding import decode_base64, encode_base64
from binary_split.archive.age.intake import Intake
from binary_split.config import LIMITS, Limits
from binary_split.errors import ArchiveFormatError

VERSION_PREFIX = b"age-encryption.org/"
VERSION_LINE = VERSION_PREFIX + b"v1"
SCRYPT = "scrypt"
_COLUMNS = 64
_MAC_BYTES = 32
_ARGUMENT = re.compile(r"[\x21-\x7e]+")
_ARGUMENT_LINE = re.compile(rb"-> [\x21-\x7e]+(?: [\x21-\x7e]+)*")


@dataclass(frozen=True, slots=True)
class Stanza:
    """One wrapped copy of the file key.

    Attributes:
        kind: the first argument, which names the type: ``X25519``.
        arguments: those behind it, each of one or more visible ASCII characters.
        body: the bytes that the base64 lines hold.
    """

    kind: str
    arguments: tuple[str, ...]
    body: bytes

    def serialise(self) -> bytes:
        """Return the stanza's lines; the last is shorter than 64 columns, empty if need be."""
        text = encode_base64(self.body)
        lines = [text[at : at + _COLUMNS] for at in range(0, len(text) + 1, _COLUMNS)]
        return "\n".join([" ".join(("->", self.kind, *self.arguments)), *lines, ""]).encode("ascii")


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header: its stanzas, and the MAC (32 bytes) that the file key gives."""

    stanzas: tuple[Stanza, ...]
    mac: bytes

    def covered(self) -> bytes:
        """Return the bytes that the MAC covers: the header through ``---``."""
        return _covered(self.stanzas)

    def serialise(self) -> bytes:
        """Return the header's bytes, the LF behind the MAC included."""
        return self.covered() + b" " + encode_base64(self.mac).encode("ascii") + b"\n"


def make_header(stanzas: Sequence[Stanza], file_key: bytes, *, limits: Limits = LIMITS) -> Header:
    """Make the header for a file key (16 bytes) that ``stanzas`` wrap.

    Raises:
        ArchiveFormatError: our own parser would refuse it.
    """
    for stanza in stanzas:
        for argument in (stanza.kind, *stanza.arguments):
            if not _ARGUMENT.fullmatch(argument):
                raise ArchiveFormatError(f"not an argument of an age stanza: {argument[:40]!r}")
    header = Header(tuple(stanzas), header_mac(file_key, _covered(stanzas)))
    parse_header(header.serialise(), limits=limits)
    return header


def parse_header(raw: bytes, *, limits: Limits = LIMITS) -> Header:
    """Parse a header that fills ``raw``, with no key.

    Raises:
        ArchiveFormatError: it is malformed, not canonical, too large, or something follows it.
    """
    intake = Intake(io.BytesIO(raw))
    header = parse_header_from(intake, limits=limits)
    if not intake.at_end():
        raise ArchiveFormatError("something follows the age header")
    return header


def parse_header_from(intake: Intake, *, limits: Limits = LIMITS) -> Header:
    """Parse the header that ``intake`` stands at, and leave it at the payload.

    Raises:
        ArchiveFormatError: the header is malformed, not canonical, or larger than ``limits`` allow.
        ArchiveUnreadableError: the source failed.
    """
    parser = StanzaParser(intake, limits, max_bytes=limits.age_header_bytes)
    _parse_version(intake)
    stanzas: list[Stanza] = []
    while (line := parser.next_line()).startswith(b"->"):
        if len(stanzas) == limits.age_header_stanzas:
            raise ArchiveFormatError(f"the age header has more than {limits.age_header_stanzas} stanzas")
        stanzas.append(parser.parse_stanza(line))
    mac = _parse_mac(line)
    if not stanzas:
        raise ArchiveFormatError("the age header has no stanza")
    if len(stanzas) > 1 and any(stanza.kind == SCRYPT for stanza in stanzas):
        raise ArchiveFormatError("a passphrase stanza must be alone in the age header")
    return Header(tuple(stanzas), mac)


class StanzaParser:
    """Takes stanzas as long as all of them together stay under a limit.

    Args:
        intake: stands at the first line.
        limits: bounds on each stanza.
        max_bytes: the most bytes that are taken altogether.
    """

    def __init__(self, intake: Intake, limits: Limits, *, max_bytes: int) -> None:
        self._intake = intake
        self._limits = limits
        self._end = intake.consumed + max_bytes

    def next_line(self) -> bytes:
        """Return the next line without its LF.

        Raises:
            ArchiveFormatError: the limit is reached, or the source ends before an LF.
            ArchiveUnreadableError: the source failed.
        """
        return self._intake.readline(min(self._end - self._intake.consumed, self._limits.age_header_bytes))

    def parse_stanza(self, line: bytes) -> Stanza:
        """Parse the stanza whose first line was taken already.

        Raises:
            ArchiveFormatError: it is malformed, not canonical, or larger than the limits allow.
            ArchiveUnreadableError: the source failed.
        """
        if not _ARGUMENT_LINE.fullmatch(line):
            raise ArchiveFormatError("the age header holds a malformed stanza")
        kind, *arguments = line[3:].decode("ascii").split(" ")
        if len(arguments) >= self._limits.age_stanza_arguments:
            raise ArchiveFormatError("an age stanza has too many arguments")
        return Stanza(kind, tuple(arguments), self._parse_body())

    def _parse_body(self) -> bytes:
        text = bytearray()
        while True:
            line = self.next_line()
            text += line
            if len(line) > _COLUMNS or not line.isascii():
                raise ArchiveFormatError("the age header holds a malformed stanza body")
            if len(text) * 3 // 4 > self._limits.age_stanza_body_bytes:
                raise ArchiveFormatError("the body of an age stanza is too long")
            if len(line) < _COLUMNS:
                return decode_base64(text.decode("ascii"))


def _parse_version(intake: Intake) -> None:
    # The limit is the line's own length: of a file of another kind not a page is searched for an LF.
    try:
        line = intake.readline(len(VERSION_LINE) + 1)
    except ArchiveFormatError as error:
        raise ArchiveFormatError("not an age v1 file") from error
    if line != VERSION_LINE:
        raise ArchiveFormatError("not an age v1 file")


def _parse_mac(line: bytes) -> bytes:
    if not line.startswith(b"--- ") or not line.isascii():
        raise ArchiveFormatError("the age header holds a line that is neither stanza nor MAC")
    return decode_base64(line[4:].decode("ascii"), size=_MAC_BYTES)


def _covered(stanzas: Sequence[Stanza]) -> bytes:
    return VERSION_LINE + b"\n" + b"".join(stanza.serialise() for stanza in stanzas) + b"---"
