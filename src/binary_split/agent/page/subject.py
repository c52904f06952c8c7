"""What the page is about, beside the unlock itself."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from binary_split.agent.settings import AgentSettings
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
    """

    agent: AgentSettings
    device_id: str | None
    read_releases: ReadReleases

    @property
    def name(self) -> str:
        """What to call this device on the phone."""
        return self.device_id or socket.gethostname()
