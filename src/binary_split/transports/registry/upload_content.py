"""What goes up into a registry: the bytes of a blob, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from binary_split.archive.positioned import Positioned

_PIECE_BYTES = 64 * 1024  # must be taken within one time-out


@dataclass(frozen=True, slots=True)
class Content:
    """What becomes a blob.

    Attributes:
        source: of its bytes.
        digest: of all of them.
        size: in bytes.
        report: is told how many of them were sent.
    """

    source: Positioned
    digest: str
    size: int
    report: Callable[[int], None] = field(default=lambda _count: None, repr=False)


class Stretch:
    """Bytes of a blob as the body of a request, which may be sent twice; few of them are held at a time."""

    def __init__(self, content: Content, places: range) -> None:
        self._content = content
        self._places = places

    def __iter__(self) -> Iterator[bytes]:
        stop = self._places.stop
        for offset in range(self._places.start, stop, _PIECE_BYTES):
            piece = bytearray(min(_PIECE_BYTES, stop - offset))
            self._content.source.read_at(offset, memoryview(piece))
            yield bytes(piece)
            self._content.report(offset + len(piece))
