"""What the page says of the releases that are installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from binary_split.config import Settings, state_folder
from binary_split.engines import open_engine
from binary_split.errors import BinarySplitError
from binary_split.unlock.journal import Journal
from binary_split.unlock.records import InstalledRelease

MOST_ROWS = 5


class InstalledReleases:
    """Reads the journal of this device's engine, which is asked once alone for its name.

    Args:
        settings: of the device.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._journal: Journal | None = None

    def __call__(self) -> Sequence[InstalledRelease] | None:
        """Return what is installed, oldest first; None where that cannot be known now."""
        try:
            if self._journal is None:
                engine = open_engine(self._settings.engine)
                self._journal = Journal(state_folder(self._settings), engine.describe())
            return self._journal.read_releases()
        except BinarySplitError:
            return None


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
        version=release.version or "",
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
