"""The place of an archive, as a path or a URL says it; no network library is imported before it is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from binary_split.transports.file import FileSource
from binary_split.transports.options import HttpOptions

if TYPE_CHECKING:
    from binary_split.transports.http import HttpSource

    Source = FileSource | HttpSource
    """A seekable byte source, which any number of threads may read at once."""


@dataclass(frozen=True, slots=True)
class HttpLocation:
    """An archive on a web server."""

    url: str
    options: HttpOptions = field(default_factory=HttpOptions)

    def __str__(self) -> str:
        return self.url


ArchiveLocation = Path | HttpLocation


def parse_location(text: str, options: HttpOptions | None = None) -> ArchiveLocation:
    """Return the place that a text names: a URL, or else a path."""
    if text.startswith(("https://", "http://")):
        return HttpLocation(text, options or HttpOptions())
    return Path(text)


def open_source(location: ArchiveLocation, *, once: bool = False) -> Source:
    """Open an archive.

    Args:
        location: where it is.
        once: as `FileSource` has it.

    Raises:
        ArchiveError: it is not there, or cannot be read.
        ConfigError: the URL or how to reach it makes no sense.
    """
    if isinstance(location, Path):
        return FileSource(location, once=once)
    from binary_split.transports.http import HttpSource

    return HttpSource(location.url, location.options)


def is_there(location: ArchiveLocation) -> bool:
    """Whether a path exists; of a server it is found out by asking."""
    return not isinstance(location, Path) or location.exists()


def locate_beside(location: ArchiveLocation, suffix: str) -> ArchiveLocation:
    """Return the place of ``NAME`` and a suffix, beside ``NAME``."""
    if isinstance(location, Path):
        return location.with_name(location.name + suffix)
    address, mark, query = location.url.partition("?")
    return HttpLocation(f"{address}{suffix}{mark}{query}", location.options)
