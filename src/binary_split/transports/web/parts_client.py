"""An archive in parts on a web server: asked for like one file, of which each stretch lies in some part."""

from __future__ import annotations

import threading
from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from urllib.parse import unquote, urlsplit, urlunsplit

from binary_split.config import LIMITS
from binary_split.errors import ArchiveUnreadableError
from binary_split.transports.options import HttpOptions, without_query
from binary_split.transports.part_list import SUFFIX, ArchivePart, is_first_part, parse_part_list, part_name
from binary_split.transports.web.ranges import RangeClient, Representation


def is_first_part_at(url: str) -> bool:
    """Whether a URL is that of the first part of an archive."""
    return is_first_part(_name_at(url))


class PartsClient:
    """Asks one web server for an archive that lies there as `split` wrote it; for any number of threads.

    The list beside the parts says which there are: it is asked for first, each part when it is needed.

    Args:
        url: of the first part, ``NAME.001``.
        options: how the server is reached.
        ended: once it is set nothing is waited for any more.

    Raises:
        ConfigError: one of them cannot be used.
    """

    def __init__(self, url: str, options: HttpOptions, ended: threading.Event) -> None:
        self._url = url
        self._list = RangeClient(self._beside(SUFFIX), options, ended)
        self._parts: tuple[ArchivePart, ...] = ()
        self._ends: list[int] = []
        self._clients: list[RangeClient] = []
        self._files: dict[int, Representation] = {}
        self._lock = threading.Lock()

    @property
    def last_byte(self) -> float:
        """When the server gave some last, of any of them, in monotonic seconds."""
        return max(client.last_byte for client in (self._list, *self._clients))

    def cut(self) -> None:
        """End what is under way, as `RangeClient.cut`."""
        self._list.cut()

    def hurry(self, since: float, patience_s: float) -> None:
        """Break off what is under way where nothing comes, as `RangeClient.hurry`."""
        self._list.hurry(max(since, self.last_byte), patience_s)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._list.close()

    def find(self, patience_s: float) -> Representation:
        """Find the archive, and read its first block.

        Raises:
            ArchiveError: as `RangeClient.find`, of the list or the first part.
            ArchiveFormatError: the list makes no sense.
        """
        listed, where = self._list.find(patience_s), without_query(self._beside(SUFFIX))
        if listed.size > LIMITS.part_list_bytes:
            raise ArchiveUnreadableError(f"{where} is too long for a list of parts")
        self._parts = parse_part_list(bytes(listed.head), _name_at(self._url)[: -len(".001")], where=where)
        self._ends = list(accumulate(part.size for part in self._parts))
        self._clients = [
            self._list.beside(self._beside(part_name("", number)))
            for number in range(1, len(self._parts) + 1)
        ]
        archive = Representation(self._ends[-1], validator="")
        head = self.fetch(archive, 0, min(LIMITS.http_block_bytes, archive.size), patience_s)
        return replace(archive, head=head)

    def fetch(self, file: Representation, offset: int, size: int, patience_s: float) -> bytearray:
        """Return a stretch of the archive, as `RangeClient.fetch`.

        Raises:
            ArchiveError: as there; and ArchiveUnreadableError: a part is not as long as the list says.
        """
        content = bytearray()
        while len(content) < min(size, file.size - offset):
            at = offset + len(content)
            index = bisect_right(self._ends, at)
            start = self._ends[index] - self._parts[index].size
            count = min(size - len(content), self._ends[index] - at)
            content += self._clients[index].fetch(
                self._find_part(index, patience_s), at - start, count, patience_s
            )
        return content

    def _find_part(self, index: int, patience_s: float) -> Representation:
        """Return a part; once it was found it is not looked for again."""
        with self._lock:
            found = self._files.get(index)
            if found is None:
                found, part = self._clients[index].look(patience_s), self._parts[index]
                if found.size != part.size:
                    raise ArchiveUnreadableError(
                        f"the part {part.name} is {found.size} bytes long, not {part.size}",
                        hint="Bring this part to the server again.",
                    )
                self._files[index] = found
        return found

    def _beside(self, suffix: str) -> str:
        """Return the address of ``NAME`` and a suffix, beside the first part."""
        parts = urlsplit(self._url)
        return urlunsplit(parts._replace(path=parts.path[: -len(".001")] + suffix))


def _name_at(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])
