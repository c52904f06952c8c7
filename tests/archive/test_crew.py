"""Jobs that threads and who waits for them share: each ends once, and an interrupt is nobody else's."""

from __future__ import annotations

import _thread
import threading
import time

import pytest

from binary_split.archive.crew import Crew, Job

BOUND_S = 5.0


def nothing() -> None:
    """Be a job that is done at once."""


class Held:
    """A job that keeps the crew's only thread, so that what is given out after it waits."""

    def __init__(self, crew: Crew) -> None:
        begun, self.let_go = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            self.let_go.wait(BOUND_S)

        self.job = crew.submit(hold)
        assert begun.wait(BOUND_S)


def assert_ends(call: threading.Thread) -> None:
    call.join(BOUND_S)
    assert not call.is_alive()


def test_who_helps_leaves_the_threads_their_end() -> None:
    crew = Crew(1, name="crew")
    held = Held(crew)
    closing = threading.Thread(target=crew.close, daemon=True)
    closing.start()
    while crew._jobs.empty():  # the thread's end is given out
        time.sleep(0.001)
    threading.Timer(0.01, held.let_go.set).start()
    crew.finish(held.job)
    assert_ends(closing)


def test_an_interrupt_while_helping_is_raised_at_once_and_not_kept_for_another() -> None:
    crew = Crew(1, name="crew")

    def interrupted() -> None:
        raise KeyboardInterrupt

    held = Held(crew)
    other, wanted = crew.submit(interrupted), crew.submit(nothing)
    with pytest.raises(KeyboardInterrupt):
        crew.finish(wanted)
    assert not other.is_running()
    held.let_go.set()
    wanted.wait()
    crew.close()


def test_a_job_ends_whenever_an_interrupt_comes() -> None:
    crew = Crew(1, name="crew")
    for number in range(30):
        given: list[Job] = []
        interrupt = threading.Timer(0.001 + number * 3e-5, _thread.interrupt_main)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it may come anywhere
            interrupt.start()
            while True:
                given = [crew.submit(nothing) for _each in range(8)]
                for job in given:
                    crew.finish(job)
        interrupt.join()
        for job in given:
            settling = threading.Thread(target=job.settle, daemon=True)
            settling.start()
            assert_ends(settling)
    crew.close()
