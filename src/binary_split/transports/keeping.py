"""One open archive for everybody who reads it: a server is asked once what it has, not by each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from binary_split.archive.positioned import SharedBytes, Stretches

if TYPE_CHECKING:
    from binary_split.transports.web.source import HttpSource


class KeptSource:
    """Holds a source from when it is first asked for until it is left; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._source: HttpSource | None = None

    def open(self, opener: Callable[[], HttpSource]) -> SourceView:
        """Give a view of the source, which is opened if nobody has done so.

        Raises:
            ArchiveError: as the opener; the next one who asks tries again.
        """
        with self._lock:
            if self._source is None or self._source.closed:
                self._source = opener()
            return SourceView(self._source)

    @property
    def found_at(self) -> str | None:
        """Where the archive was found; None until it was."""
        return None if self._source is None else self._source.found_at

    def close(self) -> None:
        """Close the source, if there is one."""
        with self._lock:
            if self._source is not None:
                self._source.close()


class SourceView(SharedBytes):
    """A source of somebody else's, with a position of its own; closing it leaves the source open."""

    def __init__(self, source: HttpSource) -> None:
        self._source = source
        self.size = source.size

    def read_at(self, offset: int, target: memoryview) -> int:
        """Read some bytes at ``offset``, as the source does."""
        return self._source.read_at(offset, target)

    def expect(self, stretches: Stretches) -> None:
        """Take note of what will be read, as the source does."""
        self._source.expect(stretches)

    def confirm(self, offset: int, size: int) -> None:
        """Take note that bytes were authentic, as the source does."""
        self._source.confirm(offset, size)

    def doubt(self, offset: int, sealed: memoryview) -> bool:
        """Take note that bytes were not authentic, as the source does."""
        return self._source.doubt(offset, sealed)

    def cut(self) -> None:
        """Wait for nothing any more, as the source does: nobody else does either."""
        self._source.cut()
