from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.keyservice.state import create_state, open_state
from binary_split.model import Fragment
from tests.agent.places import Place, Vendor
from tests.archives import FRAGMENT
from tests.keyservice.running import running
from tests.releases import KEY_ID, AgeRelease, make_age_release

UNLIMITED = ServiceLimits(token_rate=0, device_rate=0, failure_rate=0)


@pytest.fixture(scope="session")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    """A key service for all tests."""
    folder = tmp_path_factory.mktemp("vendor") / "state"
    create_state(folder)
    store = open_state(folder)
    store.keys.add(KEY_ID, Fragment(FRAGMENT))
    with running(store, UNLIMITED) as (url, guards):
        yield Vendor(url, store, guards)
    store.close()


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> AgeRelease:
    """A small release."""
    return make_age_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> AgeRelease:
    """The version after it."""
    return make_age_release(tmp_path_factory.mktemp("newer"), "1.1.0", seed=1, sequence=8)


@pytest.fixture(scope="session")
def large(busybox: bytes, tmp_path_factory: pytest.TempPathFactory) -> AgeRelease:
    """A release that takes an engine some seconds."""
    return make_age_release(
        tmp_path_factory.mktemp("large"), filler_bytes=96 << 20, filler_kind="random", program=busybox
    )


@pytest.fixture
def place(tmp_path: Path, vendor: Vendor, release: AgeRelease, newer: AgeRelease) -> Place:
    """A device whose engine is a folder."""
    archives = {"stick": release.path, "newer": {"path": newer.path, "version": "1.1.0"}}
    return Place(tmp_path, vendor.url, vendor.issue(), f"oci:{tmp_path / 'engine'}", archives)


@pytest.fixture
def docked(
    place: Place, fresh_device: PrivateDockerd, large: AgeRelease, monkeypatch: pytest.MonkeyPatch
) -> Place:
    """A device whose engine is Docker, and a release that takes its time."""
    monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
    return place.with_(engine="docker", archives={"stick": large.path})
