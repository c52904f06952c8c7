"""Power cuts: the unlock and the engine are killed in the middle, and the next run puts everything right."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator

import pytest

from bed.dockerd import PrivateDockerd
from tests.archives import FRAGMENT, Sealed, make_sealed, parse_pins
from tests.canary import assert_in_no_file, canary_of, shapes_of
from tests.cli.conftest import pin_options
from tests.commandline import CommandLine, Ran
from tests.reporting.soaking import Rounds

pytestmark = pytest.mark.slow
NAMES = ("azaion/flights", "azaion/autopilot", "azaion/detections")
UNLOCK_KILLS, ENGINE_KILLS = 10, 5
SOAK_UNLOCK_KILLS, SOAK_ENGINE_KILLS = 200, 50
_SETTLED_S = 30


class Device:
    """A device that runs an older release, and is told to unlock a newer one."""

    def __init__(self, cli: CommandLine, bed: PrivateDockerd, old: Sealed, new: Sealed) -> None:
        self.cli = cli.with_environment(DOCKER_HOST=bed.host)
        self.bed, self.old, self.new = bed, old, new
        self.fragment = cli.home / "fragment"
        self.fragment.write_bytes(FRAGMENT)

    def arguments(self, release: Sealed, version: str) -> list[object]:
        options = ["--version", version, "--fragment-file", self.fragment, *pin_options(release)]
        return ["unlock", release.path, *options]

    def unlock_old(self) -> None:
        assert self.cli.run(*self.arguments(self.old, "1.0.0")).status == 0

    def unlock_new(self) -> Ran:
        return self.cli.run(*self.arguments(self.new, "1.1.0"))

    def begin(self) -> contextlib.AbstractContextManager[object]:
        return self.cli.running(*self.arguments(self.new, "1.1.0"))

    def settle(self) -> Ran:
        """Run a command that is no unlock: it ends what was left."""
        return self.cli.run("check", "--version", "1.1.0", *pin_options(self.new))

    def assert_old_or_new(self) -> bool:
        """Check that one release is there whole or not at all, and nothing else; say which."""
        deadline = time.monotonic() + _SETTLED_S
        while self.bed.leftovers() and time.monotonic() < deadline:
            time.sleep(0.1)  # a load whose client is gone is given up by the engine, in its own time
        assert self.settle().status in {0, 52}
        found = parse_pins(self.bed.image_ids())
        assert found in ({**self.old.pins}, {**self.old.pins, **self.new.pins})
        images = self.bed.ask("GET", "/images/json?all=1")
        assert len(images) == len(set(found.values()))  # nothing without a name
        self.assert_no_plaintext()
        return len(found) > len(self.old.pins)

    def assert_no_plaintext(self) -> None:
        words = [*map(canary_of, self.new.images), *shapes_of(FRAGMENT)]
        assert_in_no_file(words, self.cli.home, self.bed.data_root / "tmp", but=[self.fragment])

    def forget_new(self) -> None:
        for ref in self.new.images:
            self.bed.docker("image", "rm", "--force", str(ref), check=False)

    def run(self) -> None:
        for ref in self.new.images:
            ran = self.bed.docker("run", "--rm", "--network", "none", str(ref))
            assert ran.stdout.strip() == f"{ref.name} 1.1.0 is running"


@pytest.fixture(scope="module")
def releases(busybox: bytes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sealed, Sealed]:
    folder = tmp_path_factory.mktemp("releases")
    old, new = (
        make_sealed(folder, version, NAMES, filler_bytes=48 << 20, program=busybox, seed=seed)
        for seed, version in enumerate(("1.0.0", "1.1.0"))
    )
    return old, new


@pytest.fixture
def device(cli: CommandLine, fresh_device: PrivateDockerd, releases: tuple[Sealed, Sealed]) -> Device:
    made = Device(cli, fresh_device, *releases)
    made.unlock_old()
    return made


def _kill_unlocks(device: Device, kills: Iterator[int], chance: random.Random) -> None:
    running = device.bed.docker(
        "run", "--detach", "--network", "none", str(device.old.images[0]), "/bin/sh", "-c", "sleep 3600"
    ).stdout.strip()
    started = time.monotonic()
    assert device.unlock_new().status == 0
    whole = time.monotonic() - started
    device.forget_new()
    for _kill in kills:
        with device.begin():
            time.sleep(chance.uniform(0.2, 1.0) * whole)
        if device.assert_old_or_new():
            device.forget_new()
        state = device.bed.docker("inspect", "--format", "{{.State.Running}}", running).stdout
        assert state.strip() == "true"
    assert device.unlock_new().status == 0
    assert device.assert_old_or_new()
    device.run()


def _kill_engines(device: Device, kills: Iterator[int], chance: random.Random) -> None:
    for _kill in kills:
        with device.begin():
            time.sleep(chance.uniform(0.3, 3.0))
            device.bed.crash()
        device.bed.start()
        if device.assert_old_or_new():
            device.forget_new()
    assert device.unlock_new().status == 0
    assert device.assert_old_or_new()
    device.run()


@pytest.mark.fault(41, 48)
def test_a_killed_unlock_leaves_the_old_images_running_and_the_next_finishes(
    device: Device, rounds: Rounds, chance: random.Random
) -> None:
    _kill_unlocks(device, rounds(UNLOCK_KILLS), chance)


@pytest.mark.fault(42, 48)
def test_a_killed_engine_is_loaded_again(device: Device, rounds: Rounds, chance: random.Random) -> None:
    _kill_engines(device, rounds(ENGINE_KILLS), chance)


@pytest.mark.fault(41, 48)
@pytest.mark.soak(minutes=5)
def test_many_killed_unlocks(device: Device, rounds: Rounds, chance: random.Random) -> None:
    _kill_unlocks(device, rounds(SOAK_UNLOCK_KILLS), chance)


@pytest.mark.fault(42, 48)
@pytest.mark.soak(minutes=2.5)
def test_many_killed_engines(device: Device, rounds: Rounds, chance: random.Random) -> None:
    _kill_engines(device, rounds(SOAK_ENGINE_KILLS), chance)
