"""Threads that do small jobs in the order in which they were given.

`concurrent.futures` would do; it brings `logging`, and that is a tenth of the program's start.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

MAX_THREADS = 4
"""More do not pay: the memory's bandwidth is used up before."""


class Job:
    """A call that a thread makes, and what became of it."""

    __slots__ = ("_call", "_done", "_error")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._done = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Make the call; what it raises is kept for `wait`."""
        try:
            self._call()
        except BaseException as error:
            self._error = error
        self._done.set()

    def cancel(self) -> None:
        """Make nothing of the call where no thread has begun it; it counts as ended all the same."""
        self._call = _nothing

    def settle(self) -> None:
        """Wait until the call has ended, however it did."""
        self._done.wait()

    def wait(self) -> None:
        """Wait until the call has ended, and raise what it raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error


def _nothing() -> None:
    """Do nothing."""


class Crew:
    """Some threads, started when they are first needed.

    Args:
        threads: how many; None: one for each processor, four at most.
        name: what the threads are called.
    """

    def __init__(self, threads: int | None, *, name: str) -> None:
        self.size = threads or min(MAX_THREADS, len(os.sched_getaffinity(0)))
        self._name = name
        self._jobs: deque[Job | None] = deque()
        self._waiting = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[[], None]) -> Job:
        """Give out a job."""
        job = Job(call)
        self._put(job)
        if len(self._threads) < self.size:
            number = len(self._threads)
            thread = threading.Thread(target=self._work, name=f"{self._name}_{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return job

    def close(self) -> None:
        """End the threads, when they have done what was given out."""
        for _thread in self._threads:
            self._put(None)
        while self._threads:
            self._threads.pop().join()

    def _put(self, job: Job | None) -> None:
        self._jobs.append(job)
        self._waiting.release()

    def _work(self) -> None:
        while True:
            self._waiting.acquire()
            job = self._jobs.popleft()
            if job is None:
                return
            job.run()
