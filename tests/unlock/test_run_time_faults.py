"""Engines that stop, disks that fill, and two who do the same at once."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from bed.disk import SmallDisk
from bed.dockerd import PrivateDockerd
from binary_split.config import LIMITS
from binary_split.engines import Engine, open_engine
from binary_split.errors import DiskSpaceError, EngineLoadError, JournalError
from binary_split.model import Progress
from binary_split.unlock import pipeline
from binary_split.unlock.journal import Journal
from binary_split.unlock.order import UnlockOrder
from binary_split.unlock.pipeline import unlock
from tests.archives import FRAGMENT, Fragments, Sealed, make_sealed, parse_pins
from tests.canary import assert_in_no_file, canary_of
from tests.cli.conftest import pin_options
from tests.commandline import CommandLine
from tests.engines.conftest import wait_for_none

pytestmark = pytest.mark.slow
NAMES = ("azaion/flights", "azaion/autopilot", "azaion/detections")
MIB = 1 << 20


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A release of 64 MiB."""
    return make_sealed(tmp_path_factory.mktemp("large"), "1.1.0", NAMES, filler_bytes=64 * MIB)


def connect(bed: PrivateDockerd, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("DOCKER_HOST", bed.host)
    return open_engine("docker")


def order_of(release: Sealed) -> UnlockOrder:
    return UnlockOrder(release.path, release.images, release.pins)


def names_of(engine: Engine) -> set[str]:
    return {str(ref) for image in engine.list_images() for ref in image.refs}


@pytest.mark.fault(43)
@pytest.mark.parametrize(
    "seconds", [LIMITS.stall_s + 3, pytest.param(60, marks=pytest.mark.soak(minutes=1.5))], ids=str
)
def test_an_engine_that_stops_for_a_while_is_named_and_waited_for(
    fresh_device: PrivateDockerd,
    large: Sealed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
) -> None:
    engine = connect(fresh_device, monkeypatch)
    journal = Journal(tmp_path / "state", engine.describe())
    seen: list[tuple[float, Progress]] = []
    stopped = threading.Event()
    pid = fresh_device.pid

    def report(progress: Progress) -> None:
        seen.append((time.monotonic(), progress))
        if progress.done and not stopped.is_set():
            stopped.set()
            os.kill(pid, signal.SIGSTOP)
            threading.Timer(seconds, os.kill, (pid, signal.SIGCONT)).start()

    unlock(order_of(large), engine, Fragments(), journal, report=report)
    assert stopped.is_set()
    assert {progress.waiting_for for _at, progress in seen} == {None, "the engine"}
    loading = [
        (at, progress) for at, progress in seen if progress.step == "loading_images" and progress.total
    ]
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(loading)]
    assert max(gaps) < 3 * LIMITS.beat_s  # a busy machine is given some time; each beat is half of that
    assert parse_pins(fresh_device.image_ids()) == large.pins


@pytest.mark.fault(46)
def test_two_unlocks_of_one_release_load_once_and_both_report_it(
    cli: CommandLine, fresh_device: PrivateDockerd, large: Sealed
) -> None:
    cli = cli.with_environment(DOCKER_HOST=fresh_device.host)
    fragment = cli.home / "fragment"
    fragment.write_bytes(FRAGMENT)
    options = ["--version", "1.1.0", "--fragment-file", fragment, *pin_options(large)]
    with ExitStack() as stack:
        both = [stack.enter_context(cli.running("unlock", large.path, *options)) for _run in range(2)]
        words = sorted(process.communicate(timeout=120)[1].decode() for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert "3 of 3 images loaded" in words[0]
    assert "all 3 images are there already" in words[1]
    assert parse_pins(fresh_device.image_ids()) == large.pins


class TestFullDisk:
    @pytest.mark.fault(44)
    def test_is_known_before_anything_is_touched(
        self,
        cramped: PrivateDockerd,
        small_disk: SmallDisk,
        large: Sealed,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        engine = connect(cramped, monkeypatch)
        journal = Journal(tmp_path / "state", engine.describe())
        filler = small_disk.fill(leave=100 * MIB)
        with pytest.raises(DiskSpaceError, match="nothing was loaded"):
            unlock(order_of(large), engine, Fragments(), journal)
        assert (engine.list_images(), journal.is_unsettled()) == ((), False)
        filler.unlink()
        unlock(order_of(large), engine, Fragments(), journal)
        assert names_of(engine) == set(map(str, large.images))

    @pytest.mark.fault(44, 48)
    def test_in_the_middle_leaves_nothing_and_room_is_all_it_takes(
        self,
        cramped: PrivateDockerd,
        small_disk: SmallDisk,
        large: Sealed,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        engine = connect(cramped, monkeypatch)
        journal = Journal(tmp_path / "state", engine.describe())
        monkeypatch.setattr(
            pipeline, "verify_room", lambda *_arguments: None
        )  # somebody else fills it meanwhile
        filler = small_disk.fill(leave=40 * MIB)
        with pytest.raises(EngineLoadError, match="no space left on device"):
            unlock(order_of(large), engine, Fragments(), journal)
        assert engine.list_images() == ()
        assert wait_for_none(lambda: [str(left) for left in cramped.leftovers()]) == []
        assert_in_no_file(map(canary_of, large.images), tmp_path / "state", cramped.data_root)
        filler.unlink()
        unlock(order_of(large), engine, Fragments(), journal)
        assert names_of(engine) == set(map(str, large.images))

    @pytest.mark.fault(44)
    def test_of_the_journal_is_said_before_the_engine_is_touched(
        self,
        fresh_device: PrivateDockerd,
        small_disk: SmallDisk,
        large: Sealed,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        engine = connect(fresh_device, monkeypatch)
        journal = Journal(small_disk.path / "state", engine.describe())
        with journal.locked():
            small_disk.fill()
        with pytest.raises(JournalError, match="No space left"):
            unlock(order_of(large), engine, Fragments(), journal)
        assert fresh_device.image_ids() == {}

    @pytest.mark.fault(44)
    def test_a_read_only_journal_is_said_too(
        self,
        fresh_device: PrivateDockerd,
        small_disk: SmallDisk,
        large: Sealed,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        engine = connect(fresh_device, monkeypatch)
        subprocess.run(["mount", "-o", "remount,ro", small_disk.path], check=True)
        with pytest.raises(JournalError, match="Read-only file system"):
            unlock(
                order_of(large), engine, Fragments(), Journal(small_disk.path / "state", engine.describe())
            )
        assert fresh_device.image_ids() == {}


def test_low_disk_keeps_the_engines_spool_at_half(
    fresh_device: PrivateDockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = make_sealed(tmp_path, "1.2.0", tuple(f"azaion/s{n}" for n in range(8)), filler_bytes=128 * MIB)
    monkeypatch.setattr("binary_split.unlock.load_plan.LIMITS", replace(LIMITS, low_disk_part_bytes=16 * MIB))
    engine = connect(fresh_device, monkeypatch)
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            sizes = []
            for path in fresh_device.leftover_files():
                try:
                    sizes.append(path.stat().st_size)
                except OSError:
                    continue
            peak[0] = max(peak[0], sum(sizes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = unlock(
            replace(order_of(release), low_disk=True),
            engine,
            Fragments(),
            Journal(tmp_path / "state", engine.describe()),
        )
    finally:
        ended.set()
        watcher.join()
    assert 0 < peak[0] <= result.sent_bytes * 0.7  # the shared layer alone is half of it
    assert parse_pins(fresh_device.image_ids()) == release.pins
