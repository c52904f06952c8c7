"""Where archives are, and how they are read: each transport gives a seekable byte source."""

from typing import TYPE_CHECKING

from binary_split.transports.location import (
    ArchiveLocation,
    HttpLocation,
    is_there,
    keeping,
    locate_beside,
    naming_damage,
    open_source,
    parse_location,
)

if TYPE_CHECKING:
    from binary_split.transports.location import Source

__all__ = [
    "ArchiveLocation",
    "HttpLocation",
    "Source",
    "is_there",
    "keeping",
    "locate_beside",
    "naming_damage",
    "open_source",
    "parse_location",
]
