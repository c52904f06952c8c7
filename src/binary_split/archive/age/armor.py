"""ASCII armor, read strictly (C2SP age.md, "ASCII armor"; RFC 7468, figure 3).

Lines of 64 columns, the last one shorter or as long, canonical base64 with its padding; LF or CRLF; white
space only before and after the block, and little of it.
"""

from __future__ import annotations

import base64
import binascii

from binary_split.archive.age.intake import Intake
from binary_split.config import LIMITS, Limits
from binary_split.errors import ArchiveFormatError
from binary_split.model import Readable

BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
END = b"-----END AGE ENCRYPTED FILE-----"
_COLUMNS = 64
_WHITE_SPACE = b" \t\r\n"


def looks_armored(head: bytes) -> bool:
    """Say whether a file that begins so can only be armored."""
    return head[:1] in (b"-", b" ", b"\t", b"\r", b"\n") and head != b""


class ArmorReader:
    """A byte source: the age file inside an armored one; decoded line by line, in constant memory."""

    def __init__(self, source: Readable, *, limits: Limits = LIMITS) -> None:
        self._intake = source if isinstance(source, Intake) else Intake(source)
        self._limits = limits
        self._decoded = bytearray()
        self._begun = self._ended = self._last_line = False

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` decoded bytes, none at the end of the block.

        Raises:
            ArchiveFormatError: the armor is malformed or cut off, or something follows it.
            ArchiveUnreadableError: the source failed.
        """
        if not self._begun:
            self._begin()
        while len(self._decoded) < size and not self._ended:
            self._next_line()
        part = bytes(self._decoded[:size])
        del self._decoded[:size]
        return part

    def _begin(self) -> None:
        blank = self._limits.age_armor_blank_bytes
        start = self._intake.consumed
        while True:
            line = self._line(blank)
            if line == BEGIN:
                self._begun = True
                return
            if line.strip(_WHITE_SPACE) or self._intake.consumed - start > blank:
                raise ArchiveFormatError("the age armor does not begin as it must")

    def _next_line(self) -> None:
        line = self._line(_COLUMNS + 2)
        if line == END:
            self._check_nothing_follows()
            self._ended = True
            return
        if self._last_line or not line:
            raise ArchiveFormatError("the age armor holds a short line before its last")
        self._last_line = len(line) < _COLUMNS or line.endswith(b"=")
        self._decoded += _decode_line(line)

    def _line(self, limit: int) -> bytes:
        """Return a line without LF or CRLF; the END line may end the file."""
        try:
            return self._intake.readline(limit).removesuffix(b"\r")
        except ArchiveFormatError as error:
            if self._intake.peek(len(END) + 1) == END:
                return self._intake.read(len(END))
            raise ArchiveFormatError("the age armor holds a line that is too long, or is cut off") from error

    def _check_nothing_follows(self) -> None:
        rest = self._intake.read(self._limits.age_armor_blank_bytes + 1)
        if rest.strip(_WHITE_SPACE) or len(rest) > self._limits.age_armor_blank_bytes:
            raise ArchiveFormatError("something follows the age armor")


def _decode_line(line: bytes) -> bytes:
    try:
        raw = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ArchiveFormatError("the age armor holds bad base64") from error
    if len(line) > _COLUMNS or base64.b64encode(raw) != line:
        raise ArchiveFormatError("the age armor holds base64 that is not canonical")
    return raw
