"""What every engine that is a process of its own promises: while it hangs, and while containers run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from binary_split.engines import Abort
from binary_split.errors import EngineAbortedError, EngineImageInUseError
from binary_split.model import ImageRef
from tests.archives import Sealed
from tests.engines.conftest import Kind, Process, stopped, wait_for_none

pytestmark = pytest.mark.engine


@pytest.fixture
def process(process_kind: Kind) -> Process:
    assert process_kind.process is not None
    return process_kind.process


@pytest.mark.parametrize("size", [1000, 64 << 20], ids=["all sent", "still sending"])
def test_an_abort_ends_a_load_within_a_second_while_the_engine_is_stopped(
    process_kind: Kind, process: Process, release: Sealed, size: int
) -> None:
    abort = Abort()
    is_sent = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield release.tar.read_bytes()[:1000]
        is_sent.set()
        yield from [bytes(1 << 20)] * (size >> 20)

    with stopped(process.pid()), ThreadPoolExecutor(1) as pool:
        load = pool.submit(process_kind.engine.load, chunks(), abort=abort)
        assert is_sent.wait(10)
        time.sleep(0.3)
        assert not load.done()
        begun = time.monotonic()
        abort.set()
        with pytest.raises(EngineAbortedError):
            load.result(5)
        assert time.monotonic() - begun < 1
    assert wait_for_none(process_kind.leftovers) == []


@pytest.mark.fault(43)
def test_a_load_goes_on_when_the_engine_does(process_kind: Kind, process: Process, release: Sealed) -> None:
    with ThreadPoolExecutor(1) as pool:
        with stopped(process.pid()):
            load = pool.submit(process_kind.engine.load, iter([release.tar.read_bytes()]))
            time.sleep(1)
            assert not load.done()
        load.result(60)
    found = {ref: process_kind.engine.find_image(ref) for ref in release.images}
    assert found == process_kind.read(release.tar)


def test_the_last_reference_of_an_image_in_use_stays(
    process_kind: Kind, process: Process, release: Sealed
) -> None:
    engine, ref, other = process_kind.engine, release.images[0], ImageRef.parse("contract-staging/x:7")
    engine.load(iter([release.tar.read_bytes()]))
    process.make_container(ref)
    engine.tag(ref, other)
    engine.untag(other)
    assert engine.find_image(other) is None
    with pytest.raises(EngineImageInUseError):
        engine.untag(ref)
    assert engine.find_image(ref) == process_kind.read(release.tar)[ref]


def test_questions_from_many_threads_at_once_are_answered(process_kind: Kind, release: Sealed) -> None:
    engine = process_kind.engine
    engine.load(iter([release.tar.read_bytes()]))
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(engine.find_image, [*release.images] * 50))
        listed = list(pool.map(lambda _number: len(engine.list_images()), range(50)))
    assert found == [*process_kind.read(release.tar).values()] * 50
    assert listed == [2] * 50
