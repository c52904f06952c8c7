"""What the page is about, beside the unlock itself."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from binary_split import doctor
from binary_split.agent.page.checkup import CheckUp
from binary_split.agent.page.installed import InstalledReleases
from binary_split.agent.settings import AgentSettings, ArchiveChoice
from binary_split.config import LIMITS, Settings
from binary_split.doctor import Finding
from binary_split.errors import ArchiveError
from binary_split.transports import ArchiveLocation
from binary_split.unlock.records import InstalledRelease

ReadReleases = Callable[[], Sequence[InstalledRelease] | None]
"""Gives what the journal knows to be installed, oldest first; None where that is not known now."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the page is about, beside the unlock itself.

    Attributes:
        agent: names the archives.
        device_id: how the key service calls this device; None where nothing says so.
        read_releases: gives what is installed.
        check_up: has the doctor look.
    """

    agent: AgentSettings
    device_id: str | None
    read_releases: ReadReleases
    check_up: CheckUp

    @classmethod
    def of(cls, settings: Settings, agent: AgentSettings) -> Subject:
        """Return what the settings of a device make of it."""
        choice = agent.archives.get(agent.default)

        def check_up() -> tuple[Finding, ...]:
            archive, version = (_locate(choice), choice.version) if choice else (None, None)
            patient = doctor.Subject(archive=archive, version=version, settings=settings)
            return tuple(doctor.run_checks(patient, check_s=LIMITS.agent_doctor_s))

        return cls(agent, settings.device_id, InstalledReleases(settings), CheckUp(check_up))

    @property
    def name(self) -> str:
        """What to call this device on the phone."""
        return self.device_id or socket.gethostname()


def _locate(choice: ArchiveChoice) -> ArchiveLocation:
    """Return where an archive is; of a folder without one, the folder: the doctor says what is wrong."""
    try:
        return choice.locate()
    except ArchiveError:
        return choice.path
