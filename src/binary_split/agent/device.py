"""What the agent does to this device: unlock an archive into its engine, and find out what is there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from binary_split.agent.settings import ArchiveChoice
from binary_split.config import Settings, state_folder
from binary_split.engines import Abort, Engine, open_engine
from binary_split.errors import ArchiveError, ConfigError, DowngradeError
from binary_split.model import ProgressSink
from binary_split.transports import ArchiveLocation, keeping, open_source
from binary_split.trust import load_trusted_keys
from binary_split.unlock.checking import ExpectedImage, find_lacking
from binary_split.unlock.installed import find_installed
from binary_split.unlock.journal import Journal
from binary_split.unlock.key_source import KeyService, read_key_ids
from binary_split.unlock.opening import Trust, name_archive
from binary_split.unlock.order import PlanSink, UnlockOrder
from binary_split.unlock.ordering import make_order
from binary_split.unlock.pipeline import unlock
from binary_split.unlock.records import InstalledRelease
from binary_split.unlock.transaction import recover


@dataclass(frozen=True, slots=True)
class Wanted:
    """An archive that is to be unlocked.

    Attributes:
        archive: which.
        asked: for which version; empty: as configured.
    """

    archive: ArchiveChoice
    asked: str = ""

    @property
    def version(self) -> str | None:
        """The version that it must be; None: any."""
        return self.asked or self.archive.version


class Device:
    """This device's engine and journal, reached anew each time: both may have been away.

    Args:
        settings: what the environment and the configuration file say.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def unlock(
        self, wanted: Wanted, token: str, *, report: ProgressSink, on_plan: PlanSink, abort: Abort
    ) -> InstalledRelease:
        """Make the engine have every image, and return what is there then.

        Args:
            wanted: what to unlock.
            token: for this unlock alone; empty: the configured one.
            report: is told of progress.
            on_plan: is told what is lacking.
            abort: ends it from another thread.

        Raises:
            BinarySplitError: of the kind of whatever went wrong.
        """
        settings = replace(self._settings, token=token, token_file=None) if token else self._settings
        engine, journal = self._open()
        with keeping(wanted.archive.locate()) as archive:
            order = self._make_order(archive, wanted)
            source = KeyService(settings, None, find_key_ids=lambda: read_key_ids(archive))
            result = unlock(order, engine, source, journal, report=report, abort=abort, on_plan=on_plan)
        return _describe(result.images, order, journal)

    def look(
        self, wanted: Wanted | None, last: InstalledRelease | None, *, on_wait: Callable[[], None]
    ) -> InstalledRelease | None:
        """Bring to its end what an earlier run has left, and return the release that is there; None: none is.

        Args:
            wanted: what would be unlocked; if it is there, it is what is returned.
            last: what was proven last; it counts where the other is not there, or cannot be asked.
            on_wait: is called while somebody else works on the engine, several times a second.

        Raises:
            BinarySplitError: it cannot be found out.
        """
        engine, journal = self._open()
        with journal.locked(on_wait):
            recover(engine, journal)
        if wanted is not None:
            with suppress(ArchiveError, ConfigError, DowngradeError):  # whoever unlocks it is told
                found = self._find(wanted, engine, journal)
                if found is not None:
                    return found
        return last if last is not None and _is_there(engine, last) else None

    def has(self, release: InstalledRelease) -> bool:
        """Whether the engine still has every image of a release, by digest.

        Raises:
            EngineError: it does not say.
        """
        return _is_there(open_engine(self._settings.engine), release)

    def _find(self, wanted: Wanted, engine: Engine, journal: Journal) -> InstalledRelease | None:
        with keeping(wanted.archive.locate()) as archive:
            order = self._make_order(archive, wanted)
            with open_source(archive) as source:
                name = name_archive(source)
        found = find_installed(order, name, engine, journal.read_releases())
        return None if found is None else _describe(found, order, journal)

    def _open(self) -> tuple[Engine, Journal]:
        engine = open_engine(self._settings.engine)
        return engine, Journal(state_folder(self._settings), engine.describe())

    def _make_order(self, archive: ArchiveLocation, wanted: Wanted) -> UnlockOrder:
        trust = Trust(load_trusted_keys((), self._settings.trusted_keys_folder))
        return make_order(archive, wanted.version, settings=self._settings, trust=trust)


def _is_there(engine: Engine, release: InstalledRelease) -> bool:
    return not find_lacking(engine, release.images)


def _describe(images: Collection[ExpectedImage], order: UnlockOrder, journal: Journal) -> InstalledRelease:
    """Return the journal's word on images that are there, or else ours: pins alone leave none there."""
    images = tuple(images)
    for release in reversed(journal.read_releases()):
        if release.images == images:
            return release
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return InstalledRelease("", images, now, version=order.version)
