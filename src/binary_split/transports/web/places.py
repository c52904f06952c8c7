"""The places of one archive: one that fails gives way to the next, and whatever they give proves itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from binary_split.config import LIMITS
from binary_split.errors import (
    ArchiveChangedError,
    ArchiveError,
    ArchiveUnreachableError,
    BinarySplitError,
    ConfigError,
)
from binary_split.transports.options import Note, without_query
from binary_split.transports.web.parts_client import PartsClient
from binary_split.transports.web.ranges import RangeClient, Representation

Opener = Callable[[threading.Event], RangeClient | PartsClient]
"""Makes the client of a place, which is to wait for nothing once the event is set."""


class Place:
    """One server that has the archive, or should.

    Attributes:
        name: what it is called.

    Args:
        url: where it is.
        opener: makes its client, when it is first asked.
    """

    def __init__(self, url: str, opener: Opener) -> None:
        self.name = without_query(url)
        self._opener = opener
        self._lock = threading.Lock()
        self._client: RangeClient | PartsClient | None = None
        self._file: Representation | None = None

    @property
    def last_byte(self) -> float:
        """When it gave a byte last, in monotonic seconds; 0.0 until it was found."""
        return 0.0 if self._client is None or self._file is None else self._client.last_byte

    def find(self, ended: threading.Event, patience_s: float) -> Representation:
        """Return what it has; once that is known it is not asked again.

        Raises:
            ArchiveError: as `RangeClient.find`.
            ConfigError: it cannot be used at all.
        """
        with self._lock:
            if self._file is None:
                self._client = self._client or self._opener(ended)
                self._file = self._client.find(patience_s)
            return self._file

    def fetch(
        self, whole: int, offset: int, size: int, ended: threading.Event, patience_s: float
    ) -> bytearray:
        """Return a part of the archive, whose size is ``whole``.

        Raises:
            ArchiveError: as `RangeClient.fetch`; and ArchiveChangedError: it has an archive of another size.
            ConfigError: it cannot be used at all.
        """
        file = self.find(ended, patience_s)
        if file.size != whole or self._client is None:
            raise ArchiveChangedError(f"{self.name} has another archive")
        return self._client.fetch(file, offset, size, patience_s)

    def hurry(self, since: float, patience_s: float) -> None:
        """Break off what is under way there, as `RangeClient.hurry`."""
        if self._client is not None:
            self._client.hurry(since, patience_s)

    def cut(self) -> None:
        """End what is under way there."""
        if self._client is not None:
            self._client.cut()

    def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            self._client.close()


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of the archive, and who gave them."""

    content: bytes | bytearray
    place: Place


class Places:
    """Reads one archive from wherever it can be had; for any number of threads.

    A place that is silent is asked again when it is its turn once more; one that refuses, that has another
    archive or gave what is not authentic is not asked again.

    Args:
        places: in the order in which they are asked; the archive's own is the last.
        note: is told of each place that is left.
        deadline_s: from now on, until nothing is read any more; None: there is none.

    Attributes:
        size: of the archive, in bytes, once it was found.
    """

    def __init__(self, places: Sequence[Place], note: Note, deadline_s: float | None = None) -> None:
        self._all = tuple(places)
        self._places = list(places)
        self._note = note
        self._deadline_s = deadline_s
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.size = 0

    @property
    def is_cut(self) -> bool:
        """Whether nothing is read any more."""
        return self._ended.is_set()

    def verify_read_on(self) -> None:
        """Check that the archive is to be read on.

        Raises:
            ArchiveUnreachableError: it was cut, or its time is over; then it is cut now.
        """
        if self._deadline_s is not None and time.monotonic() - self._started > self._deadline_s:
            self.cut()
            raise ArchiveUnreachableError(
                f"the archive was not read within {self._deadline_s:.0f} s",
                hint="Give it more time with --deadline; with --cache it goes on from where it was.",
            )
        if self.is_cut:
            raise ArchiveUnreachableError("the archive is not read any more")

    def hurry(self, since: float) -> None:
        """See to it that somebody who has waited since a moment does not wait for ever.

        Raises:
            ArchiveUnreachableError: as `verify_read_on`.
        """
        self.verify_read_on()
        for place in self._all:
            place.hurry(since, self._patience_with(place))

    def cut(self) -> None:
        """Wait for nothing any more."""
        self._ended.set()
        for place in self._all:
            place.cut()

    def close(self) -> None:
        """Close the connections that are not in use."""
        for place in self._all:
            place.close()

    def find(self) -> Part:
        """Find the archive, and return its first block.

        Raises:
            ArchiveError: no place has it, as the last one says it.
            ConfigError: the last place cannot be used at all.
        """
        *mirrors, origin = self._all
        for place in mirrors:
            try:
                return self._find_at(place)
            except (ArchiveError, ConfigError) as error:
                if self.is_cut:
                    self.verify_read_on()
                self._leave(place, error)
        return self._find_at(origin)

    def fetch(self, offset: int, size: int) -> Part:
        """Return a part of the archive.

        Raises:
            ArchiveError: no place gives it, as the last one says it.
        """
        started = time.monotonic()
        while True:
            with self._lock:
                place = self._places[0]
                patience_s = self._patience_with(place)
            try:
                return Part(place.fetch(self.size, offset, size, self._ended, patience_s), place)
            except (ArchiveError, ConfigError) as error:
                if self.is_cut:
                    self.verify_read_on()
                last = max(started, *(each.last_byte for each in self._all))
                is_late = time.monotonic() - last > LIMITS.http_patience_s
                if is_late or not self._leave(place, error):
                    raise

    def distrust(self, place: Place) -> bool:
        """Ask a place no more, as it gave what is not authentic; False: there is no other one."""
        return self._leave(place, ArchiveChangedError(f"{place.name} gives bytes that are not authentic"))

    def _find_at(self, place: Place) -> Part:
        file = place.find(self._ended, self._patience_with(place))
        self.size = file.size
        return Part(file.head, place)

    def _patience_with(self, place: Place) -> float:
        """Return how long a place may be silent: not as long where there is another one to ask."""
        if not self.size:  # nothing was found yet: each is asked in turn, and the last one longer
            return LIMITS.fetch_deadline_s if place is self._all[-1] else LIMITS.mirror_patience_s
        return LIMITS.http_patience_s if len(self._places) == 1 else LIMITS.mirror_patience_s

    def _leave(self, place: Place, error: BinarySplitError) -> bool:
        """Go on with the next place, unless somebody has done so; False: there is none."""
        with self._lock:
            if place not in self._places:
                return True
            if len(self._places) == 1:
                return False
            is_first = self._places[0] is place
            self._places.remove(place)
            if isinstance(error, ArchiveUnreachableError):
                self._places.append(place)
            following = self._places[0]
        if is_first:
            self._note(f"{error}; going on with {following.name}")
        return True
