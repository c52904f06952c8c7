"""Unlocks that nobody asks for: at the start, and when a medium with an archive is put in."""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from binary_split.agent.media import Sighting, sight
from binary_split.agent.settings import AgentSettings, ArchiveChoice
from binary_split.agent.status import Status
from binary_split.agent.unlocker import Unlocker, UnlockWish
from binary_split.config import LIMITS
from binary_split.errors import BinarySplitError, FragmentNotFoundError
from binary_split.unlock.states import State

LOG = logging.getLogger("binary_split.agent")
_END_S = 3.0  # more than a wish takes to be answered


@dataclass(slots=True)
class Candidate:
    """An archive that is to be unlocked by itself, and how far it is with it.

    Attributes:
        seen: as it was at the last look.
        settled: as it was when nothing more was to be done: all is there, or to try again is of no use.
        failures: in a row, that may pass by themselves.
        next_at: when it may be tried again.
    """

    choice: ArchiveChoice
    seen: Sighting | None = None
    settled: Sighting | None = None
    failures: int = 0
    next_at: float = 0.0

    def is_due(self, now: float) -> bool:
        """Look, and say whether it is to be unlocked: it has stopped changing, and was not settled so."""
        sighting = None
        with suppress(BinarySplitError):
            sighting = sight(self.choice.locate())
        is_new = sighting != self.seen
        if is_new:
            self.seen, self.failures, self.next_at = sighting, 0, 0.0
        if sighting is None or sighting == self.settled or now < self.next_at:
            return False
        is_at_rest = time.time_ns() - sighting.modified_ns > LIMITS.agent_look_s * 1e9
        return is_at_rest or not is_new

    def note(self, status: Status, now: float) -> None:
        """Judge how an unlock has ended."""
        failure = status.failure
        if status.state is State.ERROR and failure is not None and failure.retryable:
            pause_s = min(LIMITS.agent_retry_first_s * 2**self.failures, LIMITS.agent_retry_cap_s)
            self.next_at = now + pause_s * _drawn()
            self.failures = min(self.failures + 1, 16)
            LOG.info("%s is tried again in %.0f s: %s", self.choice.name, self.next_at - now, failure.code)
        elif failure is not None and failure.code == FragmentNotFoundError.code:  # not granted yet
            self.next_at = now + LIMITS.agent_grant_s * _drawn()
        else:
            self.settled = self.seen


def _drawn() -> float:
    """Return a factor by which a fleet does not come all at once."""
    return random.uniform(0.8, 1.2)  # noqa: S311 - no secret


class Autostart:
    """Looks every few seconds whether an archive is there that was not dealt with yet, and unlocks it.

    What fails for a reason that may pass is tried again, later each time; what this device has no grant for,
    once an hour; anything else only once the file is another. An unlock that somebody asked for goes first,
    and one that somebody cancelled stays so.

    Args:
        unlocker: does the unlocks.
        agent: names the archives.
    """

    def __init__(self, unlocker: Unlocker, agent: AgentSettings) -> None:
        self._unlocker = unlocker
        self._candidates = [Candidate(agent.archives[name]) for name in agent.autostart]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="autostart", daemon=True)
        if self._candidates:
            self._thread.start()

    def close(self) -> None:
        """End; an unlock that is under way is the unlocker's. A look at a medium that hangs is left alone."""
        self._ended.set()
        if self._candidates:
            self._thread.join(_END_S)

    def _watch(self) -> None:
        while not self._ended.is_set():
            for candidate in self._candidates:
                try:
                    self._look_at(candidate)
                except Exception:  # nobody else would begin to look again
                    LOG.exception("a look for an archive failed as none should")
            self._ended.wait(LIMITS.agent_look_s)

    def _look_at(self, candidate: Candidate) -> None:
        if not self._unlocker.status().is_running and candidate.is_due(time.monotonic()):
            self._unlock(candidate)

    def _unlock(self, candidate: Candidate) -> None:
        try:
            status, _began = self._unlocker.begin(UnlockWish(archive=candidate.choice.name))
        except BinarySplitError:  # somebody was quicker: the next look tells
            return
        while status.is_running and not self._ended.is_set():
            status = self._unlocker.wait_for(status.number, 1.0) or status
        if not self._ended.is_set() and status.archive == candidate.choice.name:
            candidate.note(status, time.monotonic())
