"""How far a load is, over all its parts: bytes sent and bytes that the engine has unpacked."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from binary_split.engines import LoadStep
from binary_split.model import ItemProgress, Progress
from binary_split.unlock.parts import Part
from binary_split.unlock.states import State

ENGINE = "the engine"
ARCHIVE = "the archive"


class Tally:
    """Counts from several threads; what it says never goes backwards and ends at its total.

    Sending and unpacking count alike, so that the second half of the way is the engine's own.

    Args:
        parts: the parts of the load.
        names: the images of the release.
    """

    def __init__(self, parts: Sequence[Part], names: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._sizes = [part.size for part in parts]
        self._sent = [0] * len(parts)
        self._steps: list[dict[str, int]] = [{} for _part in parts]
        self._unpacked = [0] * len(parts)
        self._reading: set[int] = set()
        self._items = [
            (names[index], _with_parents(place, parts))
            for place, part in enumerate(parts)
            for index in part.images
        ]

    def reads(self, part: int) -> None:
        """Say that a part now waits for the archive."""
        self._reading.add(part)

    def sends(self, part: int) -> None:
        """Say that a part now waits for the engine."""
        self._reading.discard(part)

    def sent(self, part: int, count: int) -> None:
        """Count bytes of a part that the engine took."""
        with self._lock:
            self._sent[part] = min(self._sent[part] + count, self._sizes[part])

    def unpacked(self, part: int, step: LoadStep) -> None:
        """Count what the engine says of its own work."""
        with self._lock:
            steps = self._steps[part]
            steps[step.layer] = max(step.done, steps.get(step.layer, 0))
            self._unpacked[part] = max(self._unpacked[part], min(sum(steps.values()), self._sizes[part]))

    def loaded(self, part: int) -> None:
        """Count a part as done, whatever the engine said on the way."""
        with self._lock:
            self._sent[part] = self._unpacked[part] = self._sizes[part]

    @property
    def sent_bytes(self) -> int:
        """How many bytes of layers the engine took."""
        with self._lock:
            return sum(self._sent)

    def waited_for(self) -> str:
        """Return who is to move next."""
        return ARCHIVE if self._reading else ENGINE

    def progress(self) -> Progress:
        """Return how far it is."""
        with self._lock:
            items = tuple(
                ItemProgress(name, self._done(places), 2 * sum(self._sizes[place] for place in places))
                for name, places in self._items
            )
            everything = range(len(self._sizes))
            return Progress(State.LOADING_IMAGES, self._done(everything), 2 * sum(self._sizes), items=items)

    def _done(self, places: Sequence[int]) -> int:
        return sum(self._sent[place] + self._unpacked[place] for place in places)


def _with_parents(place: int, parts: Sequence[Part]) -> tuple[int, ...]:
    """Return a part and all that it stands on."""
    found = {place}
    rest = [place]
    while rest:
        more = set(parts[rest.pop()].parents) - found
        found |= more
        rest += more
    return tuple(sorted(found))
