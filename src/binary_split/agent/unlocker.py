"""The unlocks of this agent: one at a time, in a thread of its own."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from binary_split.agent import pictures
from binary_split.agent.board import Board
from binary_split.agent.device import Device, Wanted
from binary_split.agent.job import Job
from binary_split.agent.memory import Memory, locate_memory
from binary_split.agent.settings import AgentSettings
from binary_split.agent.status import Failure, Status
from binary_split.config import LIMITS, Settings
from binary_split.errors import BinarySplitError, EngineAbortedError, JournalError, UnlockBusyError
from binary_split.unlock.pipeline import OTHER_UNLOCK
from binary_split.unlock.records import InstalledRelease
from binary_split.unlock.states import State

LOG = logging.getLogger("binary_split.agent")
_UNEXPECTED = Failure("error", "Something unexpected went wrong.", "Look into the agent's log.")


@dataclass(frozen=True, slots=True)
class UnlockWish:
    """What is asked for.

    Attributes:
        archive: the configured name of an archive; empty: the default one.
        version: which it must be; empty: as configured.
        token: for the key service, for this unlock alone; empty: the configured one. Never shown or written.
    """

    archive: str = ""
    version: str = ""
    token: str = field(repr=False, default="")


class Unlocker:
    """Unlocks what is asked for, and tells how far it is.

    On its start it brings to an end what an earlier process left, asks the engine what is there, and goes on
    with an unlock that was under way, if it may.

    Args:
        settings: of the device.
        agent: of the agent.
        on_end: is told how each unlock ended: ``ready``, ``failed`` or ``cancelled``.
    """

    def __init__(
        self, settings: Settings, agent: AgentSettings, *, on_end: Callable[[str], None] = lambda _word: None
    ) -> None:
        self._agent = agent
        self._on_end = on_end
        self._device = Device(settings)
        self._memory = Memory(locate_memory(settings))
        self._board = Board(self._memory.next_number)
        self._turn = threading.Condition()
        self._job: Job | None = None
        self._is_closing = False
        self._proving = threading.Lock()
        self._proven_at = -math.inf  # not 0.0: so long after the boot that is a moment ago
        record = self._memory.record
        self._board.publish(state=State.CHECKING, archive=record.archive, started_at=record.started_at)
        self._thread = threading.Thread(target=self._work, name="unlock", daemon=True)
        self._thread.start()

    def begin(self, wish: UnlockWish) -> tuple[Status, bool]:
        """Begin an unlock, or join the one that is under way.

        Returns:
            The picture, once it shows whether everything is there already, or after a moment; and whether an
            unlock began: it did not where one was joined, or where nothing is lacking.

        Raises:
            ArchiveNotConfiguredError: no such archive may be asked for.
            UnlockBusyError: another release is being unlocked, or one that was cancelled has not ended yet.
        """
        wanted = Wanted(self._agent.choose(wish.archive), wish.version)
        with self._turn:
            if self._job is not None:
                _verify_joinable(self._job, wish, wanted)
                return self._board.latest, False
            job = Job(wanted, wish.token)
            self._take(job)
        status = self._board.wait_until(
            lambda status: status.state is not State.CHECKING, LIMITS.agent_answer_s
        )
        return status, job.is_at_work or status.state is not State.READY

    def status(self) -> Status:
        """Return the latest picture, at once."""
        return self._board.latest

    def wait_for(self, number: int, timeout_s: float) -> Status | None:
        """Return the next picture after that of a number, or None if none came in time.

        A number that is yet to come was given by an agent whose state is lost: any picture is news to it.
        """
        status = self._board.wait_until(lambda status: status.number != number, timeout_s)
        return None if status.number == number else status

    def cancel(self) -> Status:
        """Have the unlock that is under way end, if one is; what is being committed is finished."""
        with self._turn:
            if self._job is not None:
                self._job.cancel()
            return self._board.latest

    def check_ready(self) -> bool:
        """Whether the release that was proven last is still there; the engine is asked again after a while.

        What is unlocked meanwhile, or failed since, does not matter: nothing moves before all is proven.

        Raises:
            EngineError: it does not say.
        """
        # An engine that hangs may hold up one who asks, not all of them.
        if not self._proving.acquire(timeout=LIMITS.agent_answer_s):
            return False
        try:
            release = self._memory.record.proven
            if release is None:
                return False
            return time.monotonic() - self._proven_at < LIMITS.agent_proof_s or self._prove(release)
        finally:
            self._proving.release()

    def close(self) -> None:
        """End. An unlock that is under way leaves its loads, and is gone on with at the next start."""
        with self._turn:
            self._is_closing = True
            if self._job is not None:
                self._job.abort.set()
            self._turn.notify_all()
        self._thread.join(LIMITS.agent_end_s)

    def _prove(self, release: InstalledRelease) -> bool:
        is_there = self._device.has(release)
        with self._turn:
            if is_there:
                self._proven_at = time.monotonic()
            elif self._board.latest.state is State.READY and self._memory.record.proven is release:
                self._end(pictures.when_gone(), proven=None)
        return is_there

    def _work(self) -> None:
        self._guard(None)
        while self._next_job():
            self._guard(self._job)

    def _next_job(self) -> bool:
        """Wait for a wish; False: it is time to end."""
        with self._turn:
            self._turn.wait_for(lambda: self._job is not None or self._is_closing)
            return not self._is_closing

    def _guard(self, job: Job | None) -> None:
        """Do a job, or what is to be done first of all; whatever it raises becomes a picture."""
        try:
            if job is None:
                self._find_out()
            else:
                self._do(job)
        except BinarySplitError as error:
            self._give_up(job, Failure.of(error))
        except Exception:
            LOG.exception("an unlock failed as none should")  # our log's lines show no message of it
            self._give_up(job, _UNEXPECTED)

    def _find_out(self) -> None:
        """Go on where an unlock was cut off, or else find out what is there."""
        record = self._memory.record
        choice = self._agent.archives.get(record.archive or self._agent.default)
        wanted = None if choice is None else Wanted(choice, record.version)
        if record.is_running and self._agent.resume and wanted is not None:
            with self._turn:
                if self._job is None:
                    self._take(Job(wanted))
            return
        release = self._device.look(wanted, record.proven, on_wait=self._wait_for_other)
        with self._turn:
            if self._job is not None:  # it finds that out itself
                return
            if release is None:
                self._end(pictures.when_gone(), proven=None)
                return
            name = record.proven_as if choice is None or release is record.proven else choice.name
            changes = pictures.when_ready(release, self._board.latest)
            self._end({**changes, "archive": name}, proven=release, proven_as=name)

    def _wait_for_other(self) -> None:
        if self._is_closing:
            raise EngineAbortedError("the agent ends")
        self._board.publish(waiting_for=OTHER_UNLOCK)

    def _take(self, job: Job) -> None:
        """Make a job the one that is under way, under the lock."""
        archive = job.wanted.archive.name
        self._job = job
        self._board.publish(**pictures.at_the_wish(archive, job.wanted.version, now=time.time()))
        self._turn.notify_all()

    def _do(self, job: Job) -> None:
        wanted, started_at = job.wanted, self._board.latest.started_at
        self._memory.note(
            archive=wanted.archive.name, version=wanted.asked, started_at=started_at, is_running=True
        )
        release = job.run(self._device, self._board)
        with self._turn:
            changes = pictures.when_ready(release, self._board.latest)
            self._end(changes, proven=release, proven_as=wanted.archive.name)
        self._on_end("ready")

    def _give_up(self, job: Job | None, failure: Failure) -> None:
        with self._turn:
            if self._is_closing or self._job is not job:
                return
            is_cancelled = job is not None and job.is_cancelled
            self._end(pictures.when_over(None if is_cancelled else failure, self._board.latest))
        if job is not None:
            self._on_end("cancelled" if is_cancelled else "failed")

    def _end(self, changes: pictures.Changes, **noted: InstalledRelease | str | None) -> None:
        """Tell how it ended, under the lock: whoever sees it may begin the next unlock."""
        try:
            self._memory.note(is_running=False, **noted)
        except JournalError as error:  # what is true now is told; the next start asks the engine anyway
            LOG.warning("%s", error)
        if noted:
            self._proven_at = time.monotonic()
        self._job = None
        self._board.publish(**changes)


def _verify_joinable(job: Job, wish: UnlockWish, wanted: Wanted) -> None:
    """Check that whoever wishes this is served by the job: what is left open fits anything.

    Raises:
        UnlockBusyError: they are not.
    """
    if job.is_cancelled:
        raise UnlockBusyError("an unlock that was cancelled is still ending")
    if wish.archive and wanted.archive.name != job.wanted.archive.name:
        raise UnlockBusyError(f"{job.wanted.archive.name} is being unlocked")
    if wish.version and wish.version != job.wanted.version:
        raise UnlockBusyError(f"another version of {job.wanted.archive.name} is being unlocked")
