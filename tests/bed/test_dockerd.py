"""The private engine is real, loads what the bed makes, and leaves nothing behind."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from bed.images import Style, build_release
from bed.unavailable import Unavailable
from binary_split.config import API_SERVICES


def mounts_below(folder: Path) -> list[str]:
    return [x for x in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in x]


def test_the_release_is_on_the_vendors_engine(release_images: dict[str, str]) -> None:
    assert sorted(release_images) == sorted(f"{name}:1.0.0" for name in API_SERVICES)


@pytest.mark.parametrize("style", ["oci", "classic"])
def test_images_of_both_styles_load_and_run(
    fresh_device: PrivateDockerd, busybox: bytes, tmp_path: Path, style: Style
) -> None:
    names = ["azaion/flights", "azaion/autopilot"]
    path = tmp_path / "release.tar"
    refs = build_release(path, "2.0.0", names=names, program=busybox, style=style)
    fresh_device.docker("load", "--input", str(path))
    assert fresh_device.image_ids() == refs
    ran = fresh_device.docker("run", "--rm", "--network", "none", "azaion/flights:2.0.0")
    assert ran.stdout == "azaion/flights 2.0.0 is running\n"


def test_the_engine_shares_layers_between_images(
    vendor_engine: PrivateDockerd, release_images: dict[str, str]
) -> None:
    layers = [
        vendor_engine.ask("GET", f"/images/{found}/json")["RootFS"]["Layers"]
        for found in release_images.values()
    ]
    assert len({tuple(x[:2]) for x in layers}) == 1
    assert len({x[2] for x in layers}) == len(API_SERVICES)


def test_emptied_means_no_image_no_container_no_spool_no_layer(
    fresh_device: PrivateDockerd, release_tar: Path
) -> None:
    fresh_device.docker("load", "--input", str(release_tar))
    fresh_device.docker("create", "--network", "none", "azaion/flights:1.0.0")
    spool = fresh_device.data_root / "tmp" / "docker-import-left"
    spool.mkdir(parents=True)
    layer = layers_of(fresh_device)[0]
    shutil.copytree(layer, layer.with_name("left-by-a-kill"), symlinks=True)
    fresh_device.empty()
    assert layers_of(fresh_device) == []
    fresh_device.docker("load", "--input", str(release_tar))
    fresh_device.docker("run", "--rm", "--network", "none", "azaion/flights:1.0.0")
    fresh_device.empty()
    assert fresh_device.ask("GET", "/images/json?all=1") == []
    assert fresh_device.ask("GET", "/containers/json?all=1") == []
    assert fresh_device.leftovers() == []


def layers_of(engine: PrivateDockerd) -> list[Path]:
    """Return the folders of layers: one has `diff` in it with overlay2, or is it with vfs."""
    folders = (*engine.data_root.glob("overlay2/*"), *engine.data_root.glob("vfs/dir/*"))
    return sorted(folder for folder in folders if folder.is_dir() and folder.name != "l")


@pytest.mark.usefixtures("device_engine")  # skipped where no engine starts
def test_an_engine_works_in_a_folder_of_any_name(release_tar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bed.private.tempfile.mkdtemp", partial(tempfile.mkdtemp, suffix="_"))
    with PrivateDockerd() as engine:
        assert engine.folder.name.endswith("_")
        engine.docker("load", "--input", str(release_tar))
        engine.docker("run", "--rm", "--network", "none", "azaion/flights:1.0.0")
        engine.empty()


@pytest.mark.usefixtures("device_engine")  # skipped where no engine starts
def test_an_engine_survives_a_crash_and_leaves_nothing_when_stopped(release_tar: Path) -> None:
    with PrivateDockerd() as engine:
        folder = engine.folder
        engine.docker("load", "--input", str(release_tar))
        before = engine.image_ids()
        first = engine.pid
        engine.crash()
        engine.start()
        assert engine.pid != first
        assert engine.image_ids() == before
        second = engine.pid
    assert not Path(f"/proc/{second}").exists()
    assert not folder.exists()
    assert mounts_below(folder) == []


def test_a_users_docker_settings_do_not_lead_to_another_engine(
    device_engine: PrivateDockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    asked = device_engine.docker("info", "--format", "{{.DockerRootDir}}")
    assert Path(asked.stdout.strip()) == device_engine.data_root


def test_without_a_dockerd_the_reason_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bed.dockerd.shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(Unavailable, match="no dockerd is installed"):
        PrivateDockerd(parent=tmp_path).start()
    assert list(tmp_path.iterdir()) == []


def test_where_dockerd_dies_the_reason_is_its_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "dockerd"
    program.write_text("#!/bin/sh\necho 'cgroups are not mounted' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("bed.dockerd._program", lambda: str(program))
    monkeypatch.setattr("bed.dockerd.os.geteuid", lambda: 0)
    with pytest.raises(Unavailable, match=r"did not start: .*cgroups are not mounted"):
        PrivateDockerd(parent=tmp_path).start()
    assert list(tmp_path.iterdir()) == [program]
