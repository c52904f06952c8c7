from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from bed.podman import PrivatePodman
from binary_split.engines import Engine, EngineImage, open_engine
from binary_split.engines.oci_folder import OciFolder
from binary_split.model import ImageRef
from tests.archives import Sealed, make_sealed, read_images, read_images_by_manifest
from tests.engines.scripted import ScriptedEngine, Scripts
from tests.engines.tars import Parts, write_tar

NAMES = ("contract/one", "contract/two")


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """Two images that share layers."""
    return make_sealed(tmp_path_factory.mktemp("contract"), "2.0.0", NAMES, filler_bytes=3_000_000)


@pytest.fixture(scope="session")
def changed_release(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """Other images of the same references."""
    return make_sealed(tmp_path_factory.mktemp("changed"), "2.0.0", NAMES, seed=1)


@dataclass(frozen=True)
class Kind:
    """A kind of engine: an empty instance, another one, and what the first holds.

    Attributes:
        images: what it keeps: every image, or for a folder every file.
        leftovers: the same and what it has spooled.
        blobs: what of images takes space: an image, a layer, a blob.
        read: from an image tar, what the engine must say of each image.
    """

    engine: Engine
    other: Engine
    images: Callable[[], list[str]]
    leftovers: Callable[[], list[str]]
    blobs: Callable[[], list[str]]
    process: Process | None = None
    read: Callable[[Path], dict[ImageRef, EngineImage]] = read_images


@dataclass(frozen=True)
class Process:
    """An engine that is a process, and makes containers."""

    pid: Callable[[], int]
    make_container: Callable[[ImageRef], None]


# One more engine is one more parameter here, and a fixture NAME_kind.
ENGINES = [
    pytest.param("docker", marks=pytest.mark.engine),
    pytest.param("podman", marks=pytest.mark.engine),
    pytest.param("newer_classic", marks=pytest.mark.newer_engine),
    pytest.param("newer_containerd", marks=pytest.mark.newer_engine),
]


@pytest.fixture(params=[*ENGINES, "folder"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Every engine in turn."""
    found: Kind = request.getfixturevalue(f"{request.param}_kind")
    return found


@pytest.fixture(params=ENGINES)
def process_kind(request: pytest.FixtureRequest) -> Kind:
    """Every engine that is a process."""
    found: Kind = request.getfixturevalue(f"{request.param}_kind")
    return found


def make_container(engine: PrivateDockerd | PrivatePodman, ref: ImageRef) -> None:
    """Make a container that is never started."""
    engine.ask("POST", "/v1.41/containers/create", {"Image": str(ref), "Cmd": ["/x"]})


@pytest.fixture
def clean_docker_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "DOCKER_HOST",
        "DOCKER_CONTEXT",
        "DOCKER_TLS_VERIFY",
        "DOCKER_CERT_PATH",
        "CONTAINER_HOST",
        "XDG_RUNTIME_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker-config"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def docker_kind(
    fresh_device: PrivateDockerd,
    vendor_engine: PrivateDockerd,
    monkeypatch: pytest.MonkeyPatch,
    clean_docker_environment: None,
) -> Iterator[Kind]:
    monkeypatch.setenv("DOCKER_HOST", vendor_engine.host)
    other = open_engine("docker")
    monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
    before = set(vendor_engine.image_ids())
    yield Kind(
        open_engine(None),
        other,
        lambda: _images(fresh_device),
        lambda: _leftovers(fresh_device),
        lambda: [*_leftovers(fresh_device), *_layers(fresh_device)],
        Process(lambda: fresh_device.pid, partial(make_container, fresh_device)),
    )
    for ref in set(vendor_engine.image_ids()) - before:
        vendor_engine.docker("rmi", "--force", ref)


@pytest.fixture
def podman_kind(
    fresh_podman: PrivatePodman,
    fresh_device: PrivateDockerd,
    monkeypatch: pytest.MonkeyPatch,
    clean_docker_environment: None,
) -> Kind:
    monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
    monkeypatch.setenv("CONTAINER_HOST", fresh_podman.host)

    def images() -> list[str]:
        return sorted(image["Id"] for image in fresh_podman.ask("GET", "/v1.41/images/json?all=1"))

    def leftovers() -> list[str]:
        return [*images(), *map(str, fresh_podman.leftover_files())]

    def blobs() -> list[str]:
        return [*leftovers(), *fresh_podman.layers()]

    process = Process(lambda: fresh_podman.pid, partial(make_container, fresh_podman))
    return Kind(open_engine("podman"), open_engine("docker"), images, leftovers, blobs, process)


@pytest.fixture
def newer_classic_kind(
    newer_classic_engine: PrivateDockerd,
    newer_classic_other: PrivateDockerd,
    monkeypatch: pytest.MonkeyPatch,
    clean_docker_environment: None,
) -> Kind:
    return _newer_kind(newer_classic_engine, newer_classic_other, _layers, read_images, monkeypatch)


@pytest.fixture
def newer_containerd_kind(
    newer_containerd_engine: PrivateDockerd,
    newer_containerd_other: PrivateDockerd,
    monkeypatch: pytest.MonkeyPatch,
    clean_docker_environment: None,
) -> Kind:
    engines = (newer_containerd_engine, newer_containerd_other)
    return _newer_kind(*engines, containerd_content, read_images_by_manifest, monkeypatch)


def _newer_kind(
    engine: PrivateDockerd,
    other: PrivateDockerd,
    layers: Callable[[PrivateDockerd], list[str]],
    read: Callable[[Path], dict[ImageRef, EngineImage]],
    monkeypatch: pytest.MonkeyPatch,
) -> Kind:
    for one in (engine, other):
        one.empty()
        if layers(one):  # 28.5 with the classic store keeps layers of what it has saved, until it starts anew
            one.stop()
            one.start()
    monkeypatch.setenv("DOCKER_HOST", other.host)
    opened_other = open_engine("docker")
    monkeypatch.setenv("DOCKER_HOST", engine.host)

    opened = open_engine("docker")

    def leftovers() -> list[str]:
        if layers(engine) and not engine.ask("GET", "/images/json?all=1"):
            collect_garbage(opened)
        return [*_leftovers(engine), *layers(engine)]

    return Kind(
        opened,
        opened_other,
        lambda: _images(engine),
        leftovers,
        leftovers,
        Process(lambda: engine.pid, partial(make_container, engine)),
        read,
    )


def collect_garbage(engine: Engine) -> None:
    """Make containerd look for what nothing names: it does when an image is removed, else when it likes."""
    ref = ImageRef.parse("contract-staging/collect:1")
    layer = bytes(10240)
    diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    engine.load(iter([write_tar([Parts(ref, json.dumps(config).encode(), (layer,))])]))
    engine.untag(ref)


@pytest.fixture
def folder_kind(tmp_path: Path) -> Kind:
    folder = tmp_path / "layout"

    def files() -> list[str]:
        return sorted(str(path) for path in folder.rglob("*") if path.is_file())

    def blobs() -> list[str]:
        return [path for path in files() if Path(path).name not in {"index.json", "oci-layout"}]

    return Kind(open_engine(f"oci:{folder}"), OciFolder(tmp_path / "other"), files, files, blobs)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Let a process do nothing for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_for_none(left: Callable[[], list[str]], *, timeout_s: float = 10) -> list[str]:
    """Return what is left; a real engine removes a spool a moment after it has answered."""
    deadline = time.monotonic() + timeout_s
    while left() and time.monotonic() < deadline:
        time.sleep(0.05)
    return left()


def _images(engine: PrivateDockerd) -> list[str]:
    return sorted(image["Id"] for image in engine.ask("GET", "/images/json?all=1"))


def _layers(engine: PrivateDockerd) -> list[str]:
    return sorted(map(str, (engine.data_root / "image").glob("*/layerdb/sha256/*")))


def containerd_content(engine: PrivateDockerd) -> list[str]:
    """Return every blob, half-written blob and snapshot of an engine with containerd's store."""
    root = engine.data_root / "containerd" / "daemon"
    patterns = ("*.content.v1.content/blobs/sha256/*", "*.content.v1.content/ingest/*", "*/snapshots/*")
    return sorted(str(path) for pattern in patterns for path in root.glob(pattern))


def _leftovers(engine: PrivateDockerd) -> list[str]:
    return [*_images(engine), *map(str, engine.leftover_files())]


Serve = Callable[[Scripts], ScriptedEngine]


@pytest.fixture
def scripted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clean_docker_environment: None
) -> Iterator[Serve]:
    """Start an engine that answers as it is told, and point DOCKER_HOST at it."""
    with ExitStack() as stack:

        def start(scripts: Scripts) -> ScriptedEngine:
            engine = stack.enter_context(ScriptedEngine(tmp_path / "engine.sock", scripts))
            monkeypatch.setenv("DOCKER_HOST", f"unix://{engine.path}")
            return engine

        yield start
