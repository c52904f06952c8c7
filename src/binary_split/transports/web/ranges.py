"""Parts of one file on a web server, each whole or not at all, and of the same file every time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from binary_split.config import LIMITS
from binary_split.errors import ArchiveChangedError, ArchiveUnreachableError, ArchiveUnreadableError
from binary_split.transports.options import HttpOptions, Note
from binary_split.transports.web.address import Address
from binary_split.transports.web.answers import parse_part, parse_validator
from binary_split.transports.web.http_pool import Access, PassingError
from binary_split.transports.web.open_sockets import OpenSockets
from binary_split.transports.web.own_pools import OwnPools
from binary_split.transports.web.pace import ReadingPace
from binary_split.transports.web.patience import ask_patiently

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Representation:
    """One file, as the server had it when it was found (RFC 9110, section 8.8).

    Attributes:
        size: in bytes.
        validator: its strong ETag, or else when it was last modified; empty: the server names none.
        head: its first bytes, which came with the answer: a whole block, or all of it.
    """

    size: int
    validator: str
    head: bytes | bytearray = field(default=b"", repr=False)


class _Part:
    """A stretch of the file, as far as it has come, in memory that is taken at once."""

    __slots__ = ("content", "count")

    def __init__(self, size: int) -> None:
        self.content = bytearray(size)
        self.count = 0

    @property
    def missing(self) -> int:
        return len(self.content) - self.count

    def take(self, piece: bytes) -> None:
        self.content[self.count : self.count + len(piece)] = piece
        self.count += len(piece)

    def limit(self, size: int) -> None:
        """Be no longer than a file of this size is."""
        del self.content[size:]


class RangeClient:
    """Asks one web server for parts of one file; for any number of threads.

    Args:
        url: of the file.
        options: how the server is reached.
        ended: once it is set nothing is waited for any more.
        access: opens the file's own origin, where not everybody may read it.
        opened: knows the sockets of the access, which are cut with those to the server; None: there are none.
        pools: connections that are there already; None: there are none.

    Attributes:
        last_byte: when the server gave some last, in monotonic seconds; one that drips gives none.

    Raises:
        ConfigError: one of them cannot be used.
    """

    def __init__(
        self,
        url: str,
        options: HttpOptions,
        ended: threading.Event,
        access: Access | None = None,
        opened: OpenSockets | None = None,
        pools: OwnPools | None = None,
    ) -> None:
        self._open = opened or OpenSockets()
        self._address = Address(url, options, access, self._open, pools)
        self._note = options.note
        self._pace = ReadingPace(options.bytes_per_s)
        self._ended = ended
        self.last_byte = time.monotonic()

    def beside(self, url: str) -> RangeClient:
        """Return what asks for another file of the same server, over the same connections."""
        other = copy(self)
        other._address = self._address.beside(url)  # noqa: SLF001 - of the same class
        return other

    def cut(self) -> None:
        """End what is under way: what waits for the server fails now, and not after its time."""
        self._open.cut()

    def hurry(self, since: float, patience_s: float) -> None:
        """Break off what is under way where nothing has come for too long since a moment, or hardly a byte.

        The time-outs of a single wait do not see a server that sends a byte now and then.
        """
        if time.monotonic() - max(since, self.last_byte) > patience_s + LIMITS.http_read_timeout_s:
            self._open.break_off()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._address.clear()

    def find(self, patience_s: float) -> Representation:
        """Find the file, through redirects, and read its first block: whoever opens an archive wants that.

        Raises:
            ArchiveUnreachableError: the server does not answer in time.
            ArchiveUnreadableError: it has no such file, refuses it, or gives no parts of it.
        """
        head = _Part(LIMITS.http_block_bytes)
        file = self._patiently(lambda: self._find(head), patience_s, self._note)
        return replace(file, head=self._complete(file, 0, head, patience_s))

    def look(self, patience_s: float) -> Representation:
        """Find the file, while others of its server are read; nothing of it is kept.

        Raises:
            ArchiveError: as `find`.
        """
        return self._patiently(lambda: self._find(_Part(1)), patience_s)

    def fetch(self, file: Representation, offset: int, size: int, patience_s: float) -> bytearray:
        """Return a part of the file.

        Args:
            file: the file.
            offset: of the part, in bytes.
            size: in bytes.
            patience_s: how long no byte may come before it is given up.

        Raises:
            ArchiveUnreachableError: the server was silent for too long, or nothing is read any more.
            ArchiveUnreadableError: it refuses the file now.
            ArchiveChangedError: it has another file there now.
        """
        return self._complete(file, offset, _Part(size), patience_s)

    def _complete(self, file: Representation, offset: int, part: _Part, patience_s: float) -> bytearray:
        """Ask for what a part lacks, until it is whole: what came before a break is not asked for again."""
        if part.missing:
            self._patiently(lambda: self._fetch(file, offset, part), patience_s)
        return part.content  # not copied: many are held

    def _patiently(self, ask: Callable[[], _T], patience_s: float, note: Note | None = None) -> _T:
        return ask_patiently(
            ask,
            what=self._address.name,
            patience_s=patience_s,
            ended=self._ended,
            last_byte=lambda: self.last_byte,
            note=note,
        )

    def _find(self, head: _Part) -> Representation:
        """Return the file, with as much of its first block as comes now."""
        file: Representation | None = None
        try:
            with self._address.asked({"Range": f"bytes=0-{len(head.content) - 1}"}) as response:
                if response.status != HTTPStatus.PARTIAL_CONTENT:
                    raise ArchiveUnreadableError(
                        f"the server of {self._address.name} gives no parts of it",
                        hint="Copy the archive to this machine, or let the server answer range requests.",
                    )
                part = parse_part(response)
                part.verify_is(0, min(len(head.content), part.total) - 1)
                file = Representation(part.total, parse_validator(response))
                head.limit(part.total)
                self._read(response, head)
        except PassingError:
            if file is None:
                raise
        return file

    def _fetch(self, file: Representation, offset: int, part: _Part) -> None:
        """Ask for what a part lacks, and put to it what comes."""
        first, last = offset + part.count, offset + len(part.content) - 1
        wanted = {"Range": f"bytes={first}-{last}"}
        if file.validator:
            wanted["If-Range"] = file.validator
        with self._address.asked(wanted) as response:
            if response.status != HTTPStatus.PARTIAL_CONTENT:  # that is how If-Range says: another one
                raise ArchiveChangedError(f"{self._address.name} is another file than it was")
            given = parse_part(response)
            if given.total != file.size or parse_validator(response) not in {file.validator, ""}:
                raise ArchiveChangedError(f"{self._address.name} is another file than it was")
            given.verify_is(first, last)
            self._read(response, part)

    def _read(self, response: BaseHTTPResponse, part: _Part) -> None:
        """Put to a part what comes, as it comes, until it is whole."""
        least, fresh = min(LIMITS.http_least_bytes, self._pace.step_bytes), 0
        while part.missing:
            if self._ended.is_set():
                raise ArchiveUnreachableError("the archive is not read any more")
            piece = response.read1(min(part.missing, self._pace.step_bytes))
            if not piece:
                raise PassingError("the answer was cut off")
            part.take(piece)
            fresh += len(piece)
            if fresh >= least or not part.missing:
                self.last_byte, fresh = time.monotonic(), 0
            self._pace.wait(len(piece), self._ended)
