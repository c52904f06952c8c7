"""The place of an archive, as a path or a URL says it; no network library is imported before it is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from binary_split.errors import ArchiveDamagedError, ArchiveError, DowngradeError, ImageError
from binary_split.files import is_visible
from binary_split.transports.file import FileSource
from binary_split.transports.keeping import KeptSource
from binary_split.transports.options import HttpOptions, without_query
from binary_split.transports.part_list import is_first_part, whole_name

if TYPE_CHECKING:
    from binary_split.transports.keeping import SourceView
    from binary_split.transports.parts import PartsSource
    from binary_split.transports.web.source import HttpSource

    Source = FileSource | HttpSource | PartsSource | SourceView
    """A seekable byte source, which any number of threads may read at once."""


_REGISTRY = "oci://"


@dataclass(frozen=True, slots=True)
class HttpLocation:
    """An archive on a web server, or in a registry (``oci://``).

    Attributes:
        url: its address.
        options: how the server is reached.
        kept: where it is open for all who read it (`keeping`); None: each opens it anew.
    """

    url: str
    options: HttpOptions = field(default_factory=HttpOptions)
    kept: KeptSource | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return without_query(self.url)


ArchiveLocation = Path | HttpLocation


def parse_location(text: str, options: HttpOptions | None = None) -> ArchiveLocation:
    """Return the place that a text names: a URL, or else a path."""
    if text.startswith(("https://", "http://", _REGISTRY)):
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
        if is_first_part(location.name):
            from binary_split.transports.parts import PartsSource

            return PartsSource(location, once=once)
        return FileSource(location, once=once)
    if location.kept is not None:
        return location.kept.open(lambda: _open_remote(location))
    return _open_remote(location)


def _open_remote(location: HttpLocation) -> HttpSource:
    if location.url.startswith(_REGISTRY):
        from binary_split.transports.registry.source import open_registry

        return open_registry(location.url, location.options)
    from binary_split.transports.web.source import open_http

    return open_http(location.url, location.options)


@contextmanager
def keeping(location: ArchiveLocation) -> Iterator[ArchiveLocation]:
    """Give the same place, at which all who open the archive share one source; a file needs no such thing.

    Where what a mirror has turns out to be another archive, or none, the mirror is named.
    """
    if not isinstance(location, HttpLocation):
        yield location
        return
    kept = KeptSource()
    try:
        yield replace(location, kept=kept)
    except (ArchiveError, ImageError, DowngradeError):
        if kept.found_at not in (None, str(location)):
            location.options.note(f"what was read is the archive of the mirror {kept.found_at}")
        raise
    finally:
        kept.close()


@contextmanager
def naming_damage(location: ArchiveLocation) -> Iterator[None]:
    """Say of damage which part of an archive holds it, where it is in parts.

    Raises:
        ArchiveDamagedError: as the block raises it, with the name.
    """
    try:
        yield
    except ArchiveDamagedError as error:
        if not isinstance(location, Path) or not is_first_part(location.name):
            raise
        from binary_split.transports.parts import find_damaged_part

        part = find_damaged_part(location)
        if part is None:
            raise
        raise ArchiveDamagedError(f"the part {part.name} is damaged", hint="Copy this part again.") from error


def is_there(location: ArchiveLocation) -> bool:
    """Whether a path exists; of a server it is found out by asking."""
    return not isinstance(location, Path) or is_visible(location)


def locate_beside(location: ArchiveLocation, suffix: str) -> ArchiveLocation:
    """Return the place of ``NAME`` and a suffix, beside ``NAME`` or the parts of it."""
    if isinstance(location, Path):
        name = whole_name(location) if is_first_part(location.name) else location.name
        return location.with_name(name + suffix)
    if location.url.startswith(_REGISTRY):
        return Path(os.devnull) / suffix  # nothing lies beside an artifact
    address, mark, query = location.url.partition("?")
    return HttpLocation(f"{address}{suffix}{mark}{query}", location.options)
