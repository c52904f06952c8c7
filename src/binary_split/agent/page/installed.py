"""What the page says of the releases that are installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from binary_split.unlock.records import InstalledRelease

MOST_ROWS = 5


@dataclass(frozen=True, slots=True)
class InstalledRow:
    """One release."""

    product: str
    version: str
    when: str
    machine_when: str
    images: int


def list_installed(releases: Sequence[InstalledRelease] | None) -> tuple[InstalledRow, ...] | None:
    """Return the newest releases, newest first; None where they are not known."""
    if releases is None:
        return None
    return tuple(_row(release) for release in reversed(releases[-MOST_ROWS:]))


def _row(release: InstalledRelease) -> InstalledRow:
    return InstalledRow(
        product=release.product or "",
        version=release.version or "–",
        when=_write_time(release.installed),
        machine_when=release.installed,
        images=len(release.images),
    )


def _write_time(text: str) -> str:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
