"""Threads that do small jobs in the order in which they were given, and are helped by who waits for them.

`concurrent.futures` knows no such help, and it is worth a sixth of the time: a thread that only waits takes
the interpreter's lock from those that work. It brings `logging` too, a tenth of the program's start.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
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
        self._call = _nothing  # what it worked on may hold this job, and would be held by it
        self._running.release()

    def cancel(self) -> None:
        """Make nothing of the call where no thread has begun it; it counts as ended all the same."""
        self._call = _nothing

    def is_running(self) -> bool:
        """Say whether the call has yet to end, or to begin."""
        return self._running.locked()

    def settle(self) -> None:
        """Wait until the call has ended, however it did."""
        with self._running:
            pass

    def wait(self) -> None:
        """Wait until the call has ended, and raise what it raised."""
        with self._running:
            pass
        if self._error is not None:
            raise self._error


def _nothing() -> None:
    """Do nothing."""


class Crew:
    """Some threads, started when they are first needed.

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
        while job.is_running():
            try:
                other = self._jobs.get_nowait()
            except Empty:
                break
            if other is not None:
                other.run()
        job.wait()

    def close(self) -> None:
        """End the threads, when they have done what was given out."""
        for _thread in self._threads:
            self._jobs.put(None)
        while self._threads:
            self._threads.pop().join()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job.run()
