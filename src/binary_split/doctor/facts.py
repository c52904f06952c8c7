"""What several checks need to know, found out once, when it is first asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from binary_split.archive.age import FragmentIdentity
from binary_split.archive.detect import ArchiveFormat, read_format
from binary_split.config import LIMITS, default_state_folder
from binary_split.doctor.finding import SkippedError
from binary_split.doctor.once import Once
from binary_split.doctor.subject import Subject
from binary_split.doctor.way import Way
from binary_split.engines import Engine, EngineDescription, open_engine
from binary_split.model import Fragment
from binary_split.transports import ArchiveLocation, open_source
from binary_split.trust import load_trusted_keys
from binary_split.unlock.journal import Journal
from binary_split.unlock.key_source import KeyService, read_key_ids
from binary_split.unlock.load_plan import LoadPlan
from binary_split.unlock.opening import SignedRelease, Trust, open_release
from binary_split.unlock.ordering import make_order
from binary_split.unlock.pipeline import plan_unlock


class Facts:
    """The facts about one subject.

    Args:
        subject: what is looked at.
        wait_s: how long, from now on, checks wait for what another one is finding out; in seconds.

    Attributes:
        way: to the key service.
        archive_format: of the archive; raises ArchiveError, or SkippedError where none is named.
        engine: raises EngineError or ConfigError, and so do the next two.
        description: of the engine.
        journal: of the engine.
        trust: the publishers that are believed; raises ConfigError.
        fragment: from the key service, where that is wanted; raises SkippedError where it is not.
        release: what the archive states, once its signature was verified; raises ArchiveError.
        plan: what an unlock would do; raises whatever an unlock would.
    """

    def __init__(self, subject: Subject, wait_s: float = LIMITS.doctor_check_s) -> None:
        self.subject = subject
        self.settings = subject.settings
        until = time.monotonic() + wait_s
        self.way = Way(self.settings, wait_s)
        self.archive_format: Once[ArchiveFormat] = Once(self._read_format, until)
        self.engine: Once[Engine] = Once(self._open_engine, until)
        self.description: Once[EngineDescription] = Once(lambda: self.engine().describe(), until)
        self.journal: Once[Journal] = Once(self._open_journal, until)
        self.trust: Once[Trust] = Once(self._load_trust, until)
        self.fragment: Once[Fragment] = Once(self._fetch_fragment, until)
        self.release: Once[SignedRelease] = Once(self._open_release, until)
        self.plan: Once[LoadPlan] = Once(self._plan, until)

    def archive(self) -> ArchiveLocation:
        """Return the archive.

        Raises:
            SkippedError: none is named.
        """
        if self.subject.archive is None:
            raise SkippedError("no ARCHIVE is named")
        return self.subject.archive

    def state_folder(self) -> Path:
        """Return the folder of the journal.

        Raises:
            ConfigError: nothing says which.
        """
        return self.settings.state or default_state_folder()

    def _read_format(self) -> ArchiveFormat:
        with open_source(self.archive()) as source:
            return read_format(source)

    def _open_engine(self) -> Engine:
        return open_engine(self.settings.engine)

    def _open_journal(self) -> Journal:
        return Journal(self.state_folder(), self.description())

    def _load_trust(self) -> Trust:
        return Trust(load_trusted_keys(self.subject.trusted_keys, self.settings.trusted_keys_folder))

    def _fetch_fragment(self) -> Fragment:
        if not self.subject.is_release_wanted:
            raise SkippedError("no fragment is asked for without --release")
        service = KeyService(self.settings, None, find_key_ids=lambda: read_key_ids(self.archive()))
        service.authenticate()
        return service.fetch()

    def _open_release(self) -> SignedRelease:
        identities = [FragmentIdentity(self.fragment())]
        trust = self.trust()
        with open_source(self.archive()) as source, open_release(source, identities, trust) as contents:
            return SignedRelease(contents.statement, contents.envelope)

    def _plan(self) -> LoadPlan:
        order = make_order(self.archive(), self.subject.version, settings=self.settings, trust=self.trust())
        return plan_unlock(order, self.engine(), _Held(self.fragment), self.journal())


@dataclass(frozen=True, slots=True)
class _Held:
    """The fragment for a plan: asked for when everything that needs none was looked at."""

    fetch: Once[Fragment]

    def authenticate(self) -> None:
        """Leave it to the fetch."""
