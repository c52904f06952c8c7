"""Whether the engine's disk has room for an archive's images."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from binary_split.config import LIMITS
from binary_split.doctor.facts import Facts
from binary_split.doctor.finding import Judgement, SkippedError, bad, doubtful, good, needed
from binary_split.doctor.folders import nearest_existing
from binary_split.errors import BinarySplitError, DiskSpaceError
from binary_split.sizes import format_size
from binary_split.transports import ArchiveLocation, open_source
from binary_split.unlock.load_plan import free_bytes
from binary_split.unlock.opening import read_beside

_CURE = DiskSpaceError.hint


class _Known(Enum):
    """How much is known of a need."""

    EXACT = "exactly"
    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True, slots=True)
class _Need:
    """What the engine needs for an archive, in bytes, and by what that is known."""

    size: int
    known: _Known
    words: str


def check_disk(facts: Facts) -> Judgement:
    """Judge the free space where the engine keeps its images."""
    with needed("where the engine keeps its images is not known: it cannot be asked"):
        description = facts.description()
    root = description.data_root
    if root is None and description.kind == "oci":
        root = nearest_existing(Path(description.address))
    free = free_bytes(root)
    if root is None or free is None:
        raise SkippedError("where the engine keeps its images cannot be seen from here")
    there = f"{format_size(free)} free in {root}"
    if free < LIMITS.doctor_disk_bytes:
        return bad(f"{there}: the disk is full", _CURE)
    if facts.subject.archive is None:
        return good(f"{there}; name an ARCHIVE to compare that with its need")
    try:
        need = _find_need(facts)
    except BinarySplitError:
        return good(f"{there}; what the archive needs cannot be known: see the other checks")
    return _judge(free, there, need)


def _judge(free: int, there: str, need: _Need) -> Judgement:
    words = f"{there}; {need.words}"
    if free >= need.size:
        return good(words)
    return bad(words, _CURE) if need.known is _Known.EXACT else doubtful(words, _CURE)


def _find_need(facts: Facts) -> _Need:
    with suppress(BinarySplitError, SkippedError):  # nothing opens the archive: then less is known
        plan = facts.plan()
        if not plan.lacking:
            return _Need(0, _Known.EXACT, "every image of the archive is there already")
        words = f"the archive's missing images need {format_size(plan.disk_bytes)}"
        return _Need(plan.disk_bytes, _Known.EXACT, words)
    return _need_beside(facts) or _need_by_size(facts.archive())


def _need_beside(facts: Facts) -> _Need | None:
    """Return the most that a `cbc` archive needs, by the signed statement beside it."""
    beside = read_beside(facts.archive(), facts.subject.version, facts.trust())
    if beside is None:
        return None
    size = 2 * sum(blob.plain_size or 0 for blob in beside.statement.blobs)
    return _Need(size, _Known.AT_MOST, f"the archive's images need {format_size(size)} at most")


def _need_by_size(archive: ArchiveLocation) -> _Need:
    """Bound the need by the archive's size: layers are spooled and unpacked, and grow where compressed."""
    with open_source(archive) as source:
        size = 2 * source.seek(0, 2)
    words = (
        f"if none of its images are there, the archive needs at least {format_size(size)}, and more as far "
        "as its layers are compressed: only what is sealed in it says how much (--release looks)"
    )
    return _Need(size, _Known.AT_LEAST, words)
