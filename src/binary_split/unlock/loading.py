"""Loading parts side by side: each thread reads, decrypts, proves and sends one part after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue

from binary_split.config import LIMITS
from binary_split.engines import Abort, Engine
from binary_split.errors import EngineAbortedError
from binary_split.oci.layout import LayoutTar
from binary_split.unlock.opening import one_kind_of_damage
from binary_split.unlock.parts import Part
from binary_split.unlock.tally import Tally

_GLANCE_S = 0.2  # so often the main thread looks up, for Ctrl-C and for the abort
_LEAVE_S = 1.5  # so long ending loads are waited for; Ctrl-C must not take longer than 2 s

OpenPart = Callable[[int], LayoutTar]
"""Returns the tar of the part of that index, for use by one thread."""


class Schedule:
    """Which part is next, and which may end: shared by the threads that load.

    Args:
        parts: in the order in which they are sent.
        senders: how many may send layers at a time.
        spool_bytes: how much may lie in the engine's spool at a time; a part that is larger goes alone.
        abort: ends the waiting.
    """

    def __init__(self, parts: Sequence[Part], *, senders: int, spool_bytes: int | None, abort: Abort) -> None:
        self._parts = parts
        self._senders = senders
        self._room = spool_bytes
        self._abort = abort
        self._changed = threading.Condition()
        self._next = 0
        self._sending: set[int] = set()
        self._spooled: dict[int, int] = {}
        self._loaded: set[int] = set()

    def take(self) -> int | None:
        """Wait until a part may be sent, and return its index; None where none is left.

        Raises:
            EngineAbortedError: the abort was set.
        """
        with self._changed:
            self._wait(lambda: self._next == len(self._parts) or self._has_room())
            if self._next == len(self._parts):
                return None
            index = self._next
            self._next += 1
            self._sending.add(index)
            self._spooled[index] = self._parts[index].size
            return index

    def wait_for_parents(self, index: int) -> None:
        """Say that a part's layers are sent, and wait until all that it stands on is loaded.

        Raises:
            EngineAbortedError: the abort was set.
        """
        with self._changed:
            self._sending.discard(index)
            self._changed.notify_all()
            self._wait(lambda: self._loaded.issuperset(self._parts[index].parents))

    def finish(self, index: int) -> None:
        """Say that a part is loaded."""
        with self._changed:
            self._loaded.add(index)
            self._spooled.pop(index)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        if len(self._sending) >= self._senders:
            return False
        if self._room is None or not self._spooled:
            return True
        return sum(self._spooled.values()) + self._parts[self._next].size <= self._room

    def _wait(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            if self._abort.is_set():
                raise EngineAbortedError("the load was ended")
            self._changed.wait(_GLANCE_S)


class Loader:
    """Loads the parts of a release into an engine.

    When one fails, those whose layers are still sent are ended. One that the engine makes images of is waited
    for: it would make them in any case, and what is there by then can be removed.

    Args:
        engine: where they go.
        open_part: makes a part's tar.
        tally: is told of every byte.
        abort: ends the load from outside, and sets ``failed`` too.
        failed: is set when a part failed: nothing more is read.
    """

    def __init__(
        self, engine: Engine, open_part: OpenPart, tally: Tally, *, abort: Abort, failed: Abort
    ) -> None:
        self._engine = engine
        self._open_part = open_part
        self._tally = tally
        self._abort = abort
        self._failed = failed
        self._errors: list[BaseException] = []
        # Not Thread.join: interrupted, it takes a thread that runs for ended, before CPython 3.13.
        self._ends: SimpleQueue[None] = SimpleQueue()
        self._running = 0

    def run(
        self, parts: Sequence[Part], *, side_by_side: int, senders: int, spool_bytes: int | None = None
    ) -> None:
        """Load every part, and return when the engine says of all that they are there.

        Args:
            parts: in the order in which they are sent.
            side_by_side: how many loads at a time.
            senders: how many of them may be sending layers.
            spool_bytes: how much may lie in the engine's spool at a time; None: all.

        Raises:
            BinarySplitError: whatever went wrong first; every other load was ended.
        """
        schedule = Schedule(parts, senders=senders, spool_bytes=spool_bytes, abort=self._failed)
        try:
            for number in range(min(side_by_side, len(parts))):
                self._running += 1
                threading.Thread(
                    target=self._work, args=(schedule,), name=f"load_{number}", daemon=True
                ).start()
            self._wait()
        except BaseException:
            self._abort.set()
            self._leave()
            raise
        if self._errors:
            raise self._errors[0]

    def _wait(self) -> None:
        end = float("inf")
        while self._running:
            self._glance()
            if self._failed.is_set():
                end = min(end, time.monotonic() + LIMITS.engine_settle_s)
            if time.monotonic() > end:
                self._abort.set()

    def _leave(self) -> None:
        end = time.monotonic() + _LEAVE_S
        while self._running and time.monotonic() < end:
            self._glance()

    def _glance(self) -> None:
        """Wait a moment for the next thread to end."""
        with suppress(Empty):
            self._ends.get(timeout=_GLANCE_S)
            self._running -= 1

    def _work(self, schedule: Schedule) -> None:
        try:
            while (index := schedule.take()) is not None:
                self._load(index, schedule)
                schedule.finish(index)
                self._tally.loaded(index)
        except BaseException as error:
            self._errors.append(error)
            self._failed.set()
        finally:
            self._ends.put(None)

    def _load(self, index: int, schedule: Schedule) -> None:
        def wait_for_parents() -> None:
            self._tally.sends(index)
            schedule.wait_for_parents(index)
            until_named.close()

        chunks = self._open_part(index).chunks(before_naming=wait_for_parents)
        abort = Abort()
        with self._abort.ending(abort.set), ExitStack() as until_named:
            until_named.enter_context(self._failed.ending(abort.set))
            self._engine.load(
                self._counted(index, chunks),
                report=lambda step: self._tally.unpacked(index, step),
                abort=abort,
            )

    def _counted(self, index: int, chunks: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        self._tally.reads(index)
        with one_kind_of_damage():
            for chunk in chunks:
                self._tally.sends(index)
                yield chunk
                self._tally.sent(index, len(chunk))
                self._tally.reads(index)
        self._tally.sends(index)
