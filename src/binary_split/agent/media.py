"""Archives on media that come and go: which one is meant, and whether it is still the same."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from binary_split.archive.detect import ArchiveFormat, read_format
from binary_split.config import LIMITS
from binary_split.errors import ArchiveError, ArchiveUnreadableError
from binary_split.transports import ArchiveLocation
from binary_split.transports.file import FileSource


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file as it was when it was looked at: what is copied or replaced looks different afterwards."""

    place: ArchiveLocation
    inode: int = 0
    size: int = 0
    modified_ns: int = 0


def sight(place: ArchiveLocation) -> Sighting | None:
    """Look at a file; None where it is not there. What a server has looks the same always."""
    if not isinstance(place, Path):
        return Sighting(place)
    try:
        found = place.stat()
    except OSError:
        return None
    return Sighting(place, found.st_ino, found.st_size, found.st_mtime_ns)


def find_newest(folder: Path) -> Path:
    """Return the `age` archive in a folder that was written last, told by its content and not by its name.

    A ``cbc`` archive is nothing but noise to whoever has no fragment: one must be named.

    Raises:
        ArchiveUnreadableError: the folder cannot be read, or none lies there.
    """
    try:
        with os.scandir(folder) as entries:
            files = [entry for entry in islice(entries, LIMITS.agent_folder_entries) if _is_file(entry)]
            newest = sorted(files, key=lambda entry: -entry.stat().st_mtime_ns)
    except OSError as error:
        raise ArchiveUnreadableError(f"cannot look into {folder}: {error.strerror or error}") from error
    for entry in newest:
        path = Path(entry.path)
        with suppress(ArchiveError), FileSource(path) as source:
            if read_format(source) is ArchiveFormat.AGE:
                return path
    raise ArchiveUnreadableError(
        f"no age archive lies in {folder}", hint="Put in the medium that holds it, or copy the archive there."
    )


def _is_file(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)
