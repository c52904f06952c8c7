"""Threads that do small jobs in the order in which they were given, and are helped by who waits for them.

`concurrent.futures` knows no such help, and it is worth a sixth of the time: a thread that only waits takes
the interpreter's lock from those that work. It brings `logging` too, a tenth of the program's start.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from itertools import islice
from queue import Empty, SimpleQueue

MAX_THREADS = 3
"""More do not pay: the memory's bandwidth is used up before."""


class Job:
    """A call that a thread makes, and what became of it."""

    __slots__ = ("_call", "_error", "_running")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._running = threading.Lock()  # held until the call has ended; lighter than an Event by far
        self._running.acquire()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Make the call; what it raises is kept for `wait`."""
        try:
            self._call()
        except BaseException as error:
            self._error = error
        self.end()

    def end(self) -> None:
        """Count as ended, for the thread that has taken it: an interrupt may have left it half done."""
        self._call = _nothing  # what it worked on may hold this job, and would be held by it
        if self._running.locked():
            self._running.release()

    def raise_interrupt(self) -> None:
        """Raise what is no error of the call, but came to the thread that made it: Ctrl-C."""
        if self._error is not None and not isinstance(self._error, Exception):
            raise self._error

    def cancel(self) -> None:
        """Make nothing of the call where no thread has begun it; it counts as ended all the same."""
        self._call = _nothing

    def is_running(self) -> bool:
        """Say whether the call has yet to end, or to begin."""
        return self._running.locked()

    def settle(self, timeout_s: float = -1) -> bool:
        """Wait until the call has ended, however it did; False: it has not in this time."""
        has_ended = self._running.acquire(timeout=timeout_s)
        if has_ended:
            self._running.release()
        return has_ended

    def wait(self) -> None:
        """Wait until the call has ended, and raise what it raised."""
        self.settle()
        if self._error is not None:
            raise self._error


def _nothing() -> None:
    """Do nothing."""


class Crew:
    """Some threads, started when they are first needed.

    Any number of threads may finish jobs; nothing is given out any more once it is being closed.

    Args:
        threads: how many; None: with the caller's one for each processor, at least one and three at most.
        name: what the threads are called.
    """

    def __init__(self, threads: int | None, *, name: str) -> None:
        self.size = threads or max(1, min(MAX_THREADS, len(os.sched_getaffinity(0)) - 1))
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[[], None]) -> Job:
        """Give out a job."""
        job = Job(call)
        self._jobs.put(job)
        if len(self._threads) < self.size:
            number = len(self._threads)
            thread = threading.Thread(target=self._work, name=f"{self._name}_{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return job

    def finish(self, job: Job) -> None:
        """Wait until a job has ended, doing what no thread has begun, and raise what the job raised."""
        taken: list[Job | None] = []
        try:
            while job.is_running():
                # One call of C: whenever an interrupt comes, it is known what was taken.
                taken.extend(islice(iter(self._jobs.get_nowait, self), 1))
                other = taken[-1]
                if other is not None:
                    other.run()
                    other.raise_interrupt()
        except Empty:
            pass
        except BaseException:
            for each in filter(None, taken):
                each.end()
            raise
        finally:
            for _end in range(taken.count(None)):
                self._jobs.put(None)  # the end of a thread, which waits for it
        job.wait()

    def close(self, timeout_s: float | None = None) -> None:
        """End the threads, when they have done what was given out; who has not in this time ends later."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        threads, self._threads = self._threads, []
        for _thread in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job.run()
