"""Fixtures on real components. What cannot run on this machine is said at the end of the report."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from bed.busybox import find_busybox
from bed.disk import SmallDisk
from bed.dockerd import PrivateDockerd
from bed.images import build_release
from bed.newer_docker import newer_dockerd
from bed.podman import PrivatePodman
from bed.unavailable import Unavailable
from tests.commandline import CommandLine
from tests.lending import lent

# How long an example takes says how busy the machine is, and no test's promise is about that.
settings.register_profile("busy-machine", deadline=None)
settings.load_profile("busy-machine")

pytest_plugins = ["tests.reporting.seeds", "tests.reporting.soaking", "tests.reporting.faults"]

ENGINE_FIXTURES = {
    "vendor_engine",
    "device_engine",
    "fresh_device",
    "fresh_podman",
    "tls_engine",
    "release_images",
    "cramped",
}
NEWER_ENGINE_FIXTURES = {
    f"newer_{store}_{which}" for store in ("classic", "containerd") for which in ("engine", "other")
}
_COULD_NOT_RUN = "could not run"
_STATE = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
_MISSING = pytest.StashKey[dict[str, set[str]]]()


@pytest.hookimpl(tryfirst=True)  # before -m chooses by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses a real engine."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if ENGINE_FIXTURES.intersection(names):
            item.add_marker(pytest.mark.engine)
        if NEWER_ENGINE_FIXTURES.intersection(names):
            item.add_marker(pytest.mark.newer_engine)


def pytest_configure(config: pytest.Config) -> None:
    """Start with nothing missing, and with a journal that is nobody's."""
    config.stash[_MISSING] = {}
    config.stash[_STATE] = tempfile.TemporaryDirectory(prefix="binary-split-state-")
    os.environ["BINARY_SPLIT_STATE"] = config.stash[_STATE].name
    # A shell that starts us in the background has us ignore interrupts, and so would the programs under test.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing."""
    config.stash[_STATE].cleanup()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where this process is one of several that share the tests, tell the one that reports."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told[_COULD_NOT_RUN] = {
            component: sorted(reasons) for component, reasons in session.config.stash[_MISSING].items()
        }


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear from such a process what could not run there."""
    for component, reasons in getattr(node, "workeroutput", {}).get(_COULD_NOT_RUN, {}).items():
        node.config.stash[_MISSING].setdefault(component, set()).update(reasons)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what could not run, so that a green report never hides it."""
    missing = config.stash[_MISSING]
    if missing:
        terminalreporter.section("could not run here", yellow=True)
        for component, reasons in sorted(missing.items()):
            for reason in sorted(reasons):
                terminalreporter.line(f"{component}: {reason}")


@pytest.fixture(scope="session")
def could_not_run(request: pytest.FixtureRequest) -> Callable[[Unavailable], None]:
    """Skip the test and note the reason for the report; where CI=true, fail: there all must be there."""

    def give_up(missing: Unavailable) -> None:
        request.config.stash[_MISSING].setdefault(missing.component, set()).add(missing.reason)
        if os.environ.get("CI") == "true":
            pytest.fail(f"could not run here: {missing}", pytrace=False)
        pytest.skip(f"could not run here: {missing}")

    return give_up


@pytest.fixture(scope="session")
def program(could_not_run: Callable[[Unavailable], None]) -> Callable[[str], Path]:
    """Find an installed program by name, such as ``age`` or ``openssl``."""

    def find(name: str) -> Path:
        found = shutil.which(name)
        if found is None:
            could_not_run(Unavailable(name, "is not installed"))
        return Path(str(found))

    return find


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """The program, with nobody's settings."""
    home = tmp_path / "home"
    home.mkdir()
    return CommandLine(home)


@pytest.fixture(scope="session")
def busybox(could_not_run: Callable[[Unavailable], None]) -> bytes:
    """A static busybox, to make runnable images of."""
    try:
        return find_busybox()
    except Unavailable as missing:
        could_not_run(missing)
        raise


@pytest.fixture(scope="session")
def vendor_engine(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivateDockerd]:
    """The engine of whoever makes releases."""
    with lent(PrivateDockerd, could_not_run) as engine:
        yield engine


@pytest.fixture(scope="session")
def device_engine(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivateDockerd]:
    """The engine of a device; it may hold what earlier tests left: see `fresh_device`."""
    with lent(PrivateDockerd, could_not_run) as engine:
        yield engine


@pytest.fixture
def fresh_device(device_engine: PrivateDockerd) -> PrivateDockerd:
    """The device's engine, emptied."""
    device_engine.empty()
    return device_engine


@pytest.fixture(scope="session")
def newer_containerd_engine(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivateDockerd]:
    """A newer engine that keeps images in containerd's store; it may hold what earlier tests left."""
    with lent(lambda: newer_dockerd(containerd_store=True), could_not_run) as engine:
        yield engine


@pytest.fixture(scope="session")
def newer_containerd_other(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivateDockerd]:
    """One more of the same kind."""
    with lent(lambda: newer_dockerd(containerd_store=True), could_not_run) as engine:
        yield engine


@pytest.fixture(scope="session")
def newer_classic_other(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivateDockerd]:
    """One more of the same kind."""
    with lent(lambda: newer_dockerd(containerd_store=False), could_not_run) as engine:
        yield engine


@pytest.fixture(scope="session")
def newer_classic_engine(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivateDockerd]:
    """A newer engine with the classic store; it may hold what earlier tests left."""
    with lent(lambda: newer_dockerd(containerd_store=False), could_not_run) as engine:
        yield engine


@pytest.fixture(scope="session")
def podman_engine(could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivatePodman]:
    """A Podman service; it may hold what earlier tests left: see `fresh_podman`."""
    with lent(PrivatePodman, could_not_run) as engine:
        yield engine


@pytest.fixture
def fresh_podman(podman_engine: PrivatePodman) -> PrivatePodman:
    """Podman, emptied."""
    podman_engine.empty()
    return podman_engine


@pytest.fixture
def small_disk(could_not_run: Callable[[Unavailable], None]) -> Iterator[SmallDisk]:
    """A disk of 256 MiB."""
    try:
        with SmallDisk(256 << 20) as disk:
            yield disk
    except Unavailable as missing:
        could_not_run(missing)


@pytest.fixture
def cramped(small_disk: SmallDisk, could_not_run: Callable[[Unavailable], None]) -> Iterator[PrivateDockerd]:
    """An engine on a small disk."""
    with lent(lambda: PrivateDockerd(parent=small_disk.path), could_not_run) as engine:
        yield engine


@pytest.fixture(scope="session")
def release_tar(busybox: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release 1.0.0 as ``docker save`` writes it: seven runnable images."""
    path = tmp_path_factory.mktemp("release") / "release-1.0.0.tar"
    build_release(path, "1.0.0", program=busybox, filler_bytes=4 << 20)
    return path


@pytest.fixture(scope="session")
def release_images(vendor_engine: PrivateDockerd, release_tar: Path) -> dict[str, str]:
    """The release 1.0.0 in the vendor's engine: each reference and its image id."""
    vendor_engine.docker("load", "--quiet", "--input", str(release_tar))
    return {ref: found for ref, found in vendor_engine.image_ids().items() if ref.endswith(":1.0.0")}
