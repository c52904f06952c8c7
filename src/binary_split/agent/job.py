"""One unlock that was asked for, from the wish to its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from binary_split.agent.board import Board
from binary_split.agent.course import Course
from binary_split.agent.device import Device, Wanted
from binary_split.engines import Abort
from binary_split.model import Progress
from binary_split.progress import steady_progress
from binary_split.unlock.records import InstalledRelease
from binary_split.unlock.states import State

_LOOKING = (State.CHECKING, State.READY, State.ERROR)


@dataclass(eq=False, slots=True)
class Job:
    """An unlock.

    Attributes:
        wanted: what is unlocked.
        token: for the key service; empty: the configured one.
        abort: ends it.
        is_cancelled: it was asked to end.
        is_at_work: something was lacking: it is more than a look at what is there.
    """

    wanted: Wanted
    token: str = field(default="", repr=False)
    abort: Abort = field(default_factory=Abort)
    is_cancelled: bool = False
    is_at_work: bool = False

    def cancel(self) -> None:
        """End it, as soon as it can be."""
        self.is_cancelled = True
        self.abort.set()

    def run(self, device: Device, board: Board) -> InstalledRelease:
        """Do it, and return what is there then.

        Raises:
            BinarySplitError: of the kind of whatever went wrong.
        """
        course = Course(board)

        def report(progress: Progress) -> None:
            self.is_at_work = self.is_at_work or progress.step not in _LOOKING
            course(progress)

        with steady_progress(report) as sink:
            return device.unlock(self.wanted, self.token, report=sink, on_plan=course.plan, abort=self.abort)
