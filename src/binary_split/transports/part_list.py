"""What lies beside the parts of a split archive and says which they are: ``NAME.parts.json``.

Nothing in it is trusted: an archive proves itself. It names a part that is missing, short or damaged.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError, ArchiveUnreadableError

SUFFIX = ".parts.json"
_FORMAT = "binary-split/parts/v1"
_NUMBER = re.compile(r"\.\d{3}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ArchivePart:
    """One part.

    Attributes:
        name: of its file, beside the list.
        size: in bytes.
        sha256: of its bytes, hexadecimal.
    """

    name: str
    size: int
    sha256: str


def part_name(archive: str, number: int) -> str:
    """Return the name of a part, of which the first has the number 1: ``NAME.001``."""
    return f"{archive}.{number:03d}"


def is_first_part(name: str) -> bool:
    """Whether a file is named as the first part of an archive."""
    return name.endswith(".001") and len(name) > len(".001")


def whole_name(path: Path) -> str:
    """Return the archive's own name, of any of its parts."""
    return path.name[:-4] if _NUMBER.fullmatch(path.suffix) else path.name


def serialise_part_list(parts: tuple[ArchivePart, ...]) -> bytes:
    """Return the list as JSON."""
    rows = [{"name": part.name, "size": part.size, "sha256": part.sha256} for part in parts]
    return (json.dumps({"format": _FORMAT, "parts": rows}, indent=1) + "\n").encode()


def read_part_list(first: Path) -> tuple[ArchivePart, ...] | None:
    """Read the list beside the first part; None where there is none.

    Raises:
        ArchiveFormatError: it is malformed, or is not about these files.
        ArchiveUnreadableError: it cannot be read.
    """
    name = whole_name(first)
    path = first.with_name(name + SUFFIX)
    try:
        with path.open("rb") as file:
            content = file.read(LIMITS.part_list_bytes)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArchiveUnreadableError(f"cannot read {path}: {error.strerror or error}") from error
    return parse_part_list(content, name, where=str(path))


def parse_part_list(content: bytes, archive: str, *, where: str) -> tuple[ArchivePart, ...]:
    """Parse a list.

    Args:
        content: as `serialise_part_list` gives it.
        archive: the name of the archive that it must be about.
        where: it is, for errors.

    Raises:
        ArchiveFormatError: it is malformed, or about other files.
    """
    try:
        document = json.loads(content)
        is_known = document["format"] == _FORMAT
        parts = tuple(_parse_part(row) for row in document["parts"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ArchiveFormatError(f"{where} is no list of an archive's parts") from error
    names = [part_name(archive, number) for number in range(1, len(parts) + 1)]
    if not is_known or not parts or [part.name for part in parts] != names:
        raise ArchiveFormatError(f"{where} is not about the parts of {archive}")
    return parts


def _parse_part(row: Any) -> ArchivePart:
    name, size, sha256 = row["name"], row["size"], row["sha256"]
    if type(name) is not str or type(size) is not int or size <= 0 or not _DIGEST.fullmatch(sha256):
        raise ValueError("no part")
    return ArchivePart(name, size, sha256)
