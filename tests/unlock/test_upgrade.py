"""From one release to the next on a real Docker engine: only what is new is sent, and everything runs."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bed.dockerd import PrivateDockerd
from binary_split.config import API_SERVICES
from binary_split.engines import open_engine
from binary_split.engines.docker import DockerEngine
from binary_split.errors import EngineImageInUseError
from binary_split.model import ImageRef, Progress
from binary_split.oci.scan import scan_images
from binary_split.unlock.journal import Journal
from binary_split.unlock.load_plan import LoadPlan
from binary_split.unlock.opening import Trust
from binary_split.unlock.order import UnlockOrder, UnlockResult
from binary_split.unlock.pipeline import plan_unlock, unlock
from binary_split.unlock.proving import choose_installed, prove_installed
from binary_split.unlock.pruning import prune
from tests.archives import Fragments, NoFragments, Sealed, make_sealed, parse_pins

pytestmark = pytest.mark.slow
SERVICES = tuple(API_SERVICES)


@pytest.fixture(scope="module")
def releases(busybox: bytes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sealed, Sealed]:
    """Two releases of seven images; half of each is a runtime that they share."""
    folder = tmp_path_factory.mktemp("releases")
    old, new = (
        make_sealed(folder, version, SERVICES, filler_bytes=8 << 20, program=busybox)
        for version in ("1.0.0", "1.1.0")
    )
    return old, new


class Device:
    """A device with a Docker engine of its own and a journal."""

    def __init__(self, bed: PrivateDockerd, engine: DockerEngine, folder: Path) -> None:
        self.bed = bed
        self.engine = engine
        self.journal = Journal(folder, engine.describe())

    def order(self, release: Sealed) -> UnlockOrder:
        return UnlockOrder(release.path, release.images, release.pins)

    def unlock(self, release: Sealed, **more: Any) -> UnlockResult:
        return unlock(self.order(release), self.engine, Fragments(), self.journal, **more)

    def plan(self, release: Sealed) -> LoadPlan:
        plan = plan_unlock(self.order(release), self.engine, Fragments(), self.journal)
        assert isinstance(plan, LoadPlan)
        return plan

    def run(self, ref: ImageRef) -> str:
        return self.bed.docker("run", "--rm", "--network", "none", str(ref)).stdout.strip()

    def ids(self) -> dict[ImageRef, Any]:
        return parse_pins(self.bed.image_ids())


@pytest.fixture
def device(fresh_device: PrivateDockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
    engine = open_engine("docker")
    assert isinstance(engine, DockerEngine)
    return Device(fresh_device, engine, tmp_path / "state")


def test_an_upgrade_sends_only_what_is_new_and_both_releases_run(
    device: Device, releases: tuple[Sealed, Sealed]
) -> None:
    old, new = releases
    whole = device.unlock(old).sent_bytes
    plan = device.plan(new)
    assert plan.lacking == set(new.images)
    result = device.unlock(new)
    assert result.sent_bytes == plan.send_bytes
    assert result.sent_bytes < 0.55 * whole
    assert device.ids() == {**old.pins, **new.pins}
    for release, version in ((old, "1.0.0"), (new, "1.1.0")):
        for ref in release.images:
            assert device.run(ref) == f"{ref.name} {version} is running"


def test_what_the_engine_saves_is_what_was_sealed(device: Device, releases: tuple[Sealed, Sealed]) -> None:
    old, new = releases
    device.unlock(old)
    device.unlock(new)
    saved = scan_images(device.engine.save(new.images))
    sealed = scan_images([new.tar.read_bytes()])
    assert {ref: image.config for image in saved.images for ref in image.refs} == {
        ref: image.config for image in sealed.images for ref in image.refs
    }


def test_a_foreign_prune_in_the_middle_does_no_harm(
    device: Device, releases: tuple[Sealed, Sealed], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = releases[0]
    load, prunes, one_at_a_time = device.engine.load, [], threading.Lock()

    def load_and_prune(chunks: Iterable[Any], **more: Any) -> None:
        load(chunks, **more)
        with one_at_a_time:  # the engine refuses a second one
            prunes.append(device.bed.docker("image", "prune", "--force").stdout)

    monkeypatch.setattr(device.engine, "load", load_and_prune)
    device.unlock(release)
    assert len(prunes) > len(SERVICES)  # the shared layers came by themselves
    assert device.ids() == release.pins


def test_progress_covers_the_engines_own_work_and_ends_at_all_of_it(
    device: Device, releases: tuple[Sealed, Sealed]
) -> None:
    seen: list[Progress] = []
    result = device.unlock(releases[0], report=seen.append)
    loading = [progress for progress in seen if progress.step == "loading_images" and progress.total]
    assert loading[-1].done == loading[-1].total == 2 * result.sent_bytes
    assert [row.done for row in loading] == sorted(row.done for row in loading)
    assert {item.name for item in loading[-1].items} == set(map(str, releases[0].images))
    assert all(item.done == item.total for item in loading[-1].items)


@pytest.mark.fault(47)
def test_a_second_unlock_asks_for_nothing_and_leaves_nothing(
    device: Device, releases: tuple[Sealed, Sealed]
) -> None:
    device.unlock(releases[0])
    before = set(device.engine.list_images())
    again = unlock(device.order(releases[0]), device.engine, NoFragments(), device.journal)
    assert again.loaded == ()
    assert set(device.engine.list_images()) == before
    assert {ref for image in before for ref in image.refs} == set(releases[0].images)


class TestPrune:
    def test_removes_old_releases_that_it_installed_and_nothing_else(
        self, device: Device, releases: tuple[Sealed, Sealed], tmp_path: Path
    ) -> None:
        old, new = releases
        foreign = make_sealed(tmp_path, "9", ("somebody/else",))
        device.bed.docker("load", "--quiet", "--input", str(foreign.tar))
        device.unlock(old)
        device.unlock(new)
        assert [row.removed for row in prune(device.engine, device.journal, keep=2)] == []
        planned = prune(device.engine, device.journal, keep=1, dry_run=True)
        assert set(planned[0].removed) == set(old.images)
        assert device.ids() == {**old.pins, **new.pins, **foreign.pins}
        prune(device.engine, device.journal, keep=1)
        assert device.ids() == {**new.pins, **foreign.pins}
        assert prune(device.engine, device.journal, keep=1) == ()
        assert device.run(new.images[0]).endswith("is running")

    def test_leaves_a_name_that_somebody_else_took(
        self, device: Device, releases: tuple[Sealed, Sealed]
    ) -> None:
        old, new = releases
        device.unlock(old)
        device.unlock(new)
        device.bed.docker("tag", str(new.images[1]), str(old.images[0]))
        (row,) = prune(device.engine, device.journal, keep=1)
        assert row.foreign == (old.images[0],)
        assert old.images[0] in device.ids()

    def test_leaves_what_a_container_uses_and_tries_again_the_next_time(
        self, device: Device, releases: tuple[Sealed, Sealed]
    ) -> None:
        old, new = releases
        device.unlock(old)
        device.unlock(new)
        container = device.bed.docker("create", "--network", "none", str(old.images[0])).stdout.strip()
        with pytest.raises(EngineImageInUseError):
            device.engine.untag(old.images[0])
        (row,) = prune(device.engine, device.journal, keep=1)
        assert row.in_use == (old.images[0],)
        assert device.ids() == {old.images[0]: old.pins[old.images[0]], **new.pins}
        device.bed.docker("rm", container)
        (row,) = prune(device.engine, device.journal, keep=1)
        assert row.removed == (old.images[0],)
        assert device.ids() == new.pins


@pytest.mark.parametrize("deep", [False, True])
def test_an_installed_release_is_proven_at_any_time(
    device: Device, releases: tuple[Sealed, Sealed], deep: bool
) -> None:
    device.unlock(releases[0])
    release = choose_installed(device.journal.read_releases(), product=None, version=None, trust=Trust())
    prove_installed(device.engine, release, deep=deep)
    assert {image.ref for image in release.images} == set(releases[0].images)
