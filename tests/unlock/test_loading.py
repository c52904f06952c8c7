"""Loads side by side: when one fails, no other is left behind that the engine makes images of."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import pytest

from binary_split.config import LIMITS
from binary_split.engines import Abort, Engine, LoadSink
from binary_split.errors import EngineAbortedError, EngineLoadError
from binary_split.oci.layout import LayoutTar
from binary_split.unlock.loading import Loader
from binary_split.unlock.parts import Part
from binary_split.unlock.tally import Tally

PARTS = [Part((0,), 0, 0, ()), Part((1,), 1, 0, ())]
NO_TIME = 5


class MakingOne:
    """An engine that has one load whole, and is at its images, when the other fails.

    Args:
        last: what it waits for before the images are there.
    """

    def __init__(self, last: Callable[[Abort], None]) -> None:
        self.made = False
        self._last = last
        self._first = threading.Lock()
        self._is_whole = threading.Event()

    def load(
        self, chunks: Iterable[bytes | memoryview], *, report: LoadSink, abort: Abort | None = None
    ) -> None:
        assert abort is not None
        if not self._first.acquire(blocking=False):
            assert self._is_whole.wait(NO_TIME)
            raise EngineLoadError("no room")
        assert list(chunks)
        self._is_whole.set()
        self._last(abort)
        self.made = True


def run(engine: MakingOne, abort: Abort, failed: Abort, parts: Sequence[Part] = PARTS) -> None:
    tally = Tally(parts, ["a", "b"])

    def open_part(_index: int) -> LayoutTar:
        return LayoutTar((), (), lambda _layer: [])

    loader = Loader(cast("Engine", engine), open_part, tally, abort=abort, failed=failed)
    with abort.ending(failed.set):
        loader.run(parts, side_by_side=2, senders=2)


def test_a_load_whose_images_are_being_made_is_waited_for_when_another_fails() -> None:
    failed = Abort()
    has_failed = threading.Event()

    def until_the_other_failed(abort: Abort) -> None:
        with failed.ending(has_failed.set):
            assert has_failed.wait(NO_TIME)
        assert not abort.is_set()

    engine = MakingOne(until_the_other_failed)
    with pytest.raises(EngineLoadError, match="no room"):
        run(engine, Abort(), failed)
    assert engine.made


def test_it_is_not_waited_for_when_the_unlock_is_ended_from_outside() -> None:
    outside = Abort()

    def until_ended(abort: Abort) -> None:
        ended = threading.Event()
        with abort.ending(ended.set):
            outside.set()
            assert ended.wait(NO_TIME)
        raise EngineAbortedError("ended")

    engine = MakingOne(until_ended)
    with pytest.raises((EngineAbortedError, EngineLoadError)):
        run(engine, outside, Abort())
    assert not engine.made


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have Ctrl-C be what it is in a program, in processes of pytest too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_load_that_is_interrupted_is_left_to_end_in_order() -> None:
    main = threading.main_thread().ident
    assert main is not None

    def until_ended(abort: Abort) -> None:
        ended = threading.Event()
        with abort.ending(ended.set):
            time.sleep(0.1)  # until it is waited for
            signal.pthread_kill(main, signal.SIGINT)
            assert ended.wait(NO_TIME)
        time.sleep(0.3)  # what an engine may take to throw away what it got

    engine = MakingOne(until_ended)
    with pytest.raises(KeyboardInterrupt):
        run(engine, Abort(), Abort(), PARTS[:1])
    assert engine.made


def test_an_interrupt_while_the_loads_begin_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(threading.Thread):
        def start(self) -> None:
            if self.name.endswith("_1"):
                raise KeyboardInterrupt
            super().start()

    def until_ended(abort: Abort) -> None:
        ended = threading.Event()
        with abort.ending(ended.set):
            assert ended.wait(NO_TIME)

    monkeypatch.setattr("binary_split.unlock.loading.threading.Thread", Interrupted)
    engine = MakingOne(until_ended)
    with pytest.raises(KeyboardInterrupt):
        run(engine, Abort(), Abort())
    assert engine.made


def test_it_is_waited_for_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("binary_split.unlock.loading.LIMITS", replace(LIMITS, engine_settle_s=0.1))

    def until_ended(abort: Abort) -> None:
        ended = threading.Event()
        with abort.ending(ended.set):
            assert ended.wait(NO_TIME)
        raise EngineAbortedError("ended")

    with pytest.raises(EngineLoadError, match="no room"):
        run(MakingOne(until_ended), Abort(), Abort())
