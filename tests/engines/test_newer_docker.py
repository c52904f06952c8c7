"""The newer Docker Engine, with both of its image stores: what we write loads and comes out again whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from binary_split.engines import Engine, IdKind, open_engine
from binary_split.oci.image_tar import ImageTar
from binary_split.unlock.checking import read_config_digests, verify_images
from binary_split.unlock.plan import PlannedImage, build_tar, plan_images
from tests.archives import Sealed

pytestmark = pytest.mark.newer_engine
ID_KINDS = {"containerd": IdKind.MANIFEST, "classic": IdKind.CONFIG}


@dataclass(frozen=True)
class Newer:
    """A newer engine, emptied, as the product sees it and as the bed does."""

    store: str
    bed: PrivateDockerd
    engine: Engine


@pytest.fixture(params=["containerd", "classic"])
def newer(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, clean_docker_environment: None
) -> Newer:
    bed: PrivateDockerd = request.getfixturevalue(f"newer_{request.param}_engine")
    bed.empty()
    monkeypatch.setenv("DOCKER_HOST", bed.host)
    return Newer(request.param, bed, open_engine("docker"))


@pytest.fixture
def opened(release: Sealed) -> Iterator[ImageTar]:
    with release.tar.open("rb") as file:
        yield ImageTar(file)


def planned(opened: ImageTar, release: Sealed) -> tuple[PlannedImage, ...]:
    return plan_images(opened, release.images, release.pins)


def test_a_newer_engine_says_which_store_it_has(newer: Newer) -> None:
    described = newer.engine.describe()
    assert described.id_kind is ID_KINDS[newer.store]
    assert int(described.version.partition(".")[0]) >= 28


def test_what_we_write_loads_and_is_proven(newer: Newer, opened: ImageTar, release: Sealed) -> None:
    images = planned(opened, release)
    newer.engine.load(build_tar(opened, images).chunks())
    verify_images(newer.engine, [row for image in images for row in image.expected()])


def test_what_was_loaded_is_saved_whole(newer: Newer, opened: ImageTar, release: Sealed) -> None:
    newer.engine.load(build_tar(opened, planned(opened, release)).chunks())
    assert read_config_digests(newer.engine, release.images) == release.pins


def test_what_was_loaded_runs(newer: Newer, release_tar: Path) -> None:
    newer.bed.docker("load", "--input", str(release_tar))
    ran = newer.bed.docker("run", "--rm", "--network", "none", "azaion/flights:1.0.0")
    assert ran.stdout == "azaion/flights 1.0.0 is running\n"
