"""What the page is about, beside the unlock itself."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from binary_split import doctor
from binary_split.agent.page.checkup import CheckUp
from binary_split.agent.page.installed import InstalledReleases
from binary_split.agent.settings import AgentSettings
from binary_split.config import LIMITS, Settings
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
        archive, version = (choice.path, choice.version) if choice else (None, None)
        patient = doctor.Subject(archive=archive, version=version, settings=settings)
        return cls(
            agent,
            settings.device_id,
            InstalledReleases(settings),
            CheckUp(lambda: tuple(doctor.run_checks(patient, check_s=LIMITS.agent_doctor_s))),
        )

    @property
    def name(self) -> str:
        """What to call this device on the phone."""
        return self.device_id or socket.gethostname()
