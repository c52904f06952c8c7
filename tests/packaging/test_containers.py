"""The containers, built by podman on a base of our own, as there is no registry here, and used."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bed.clean_debian import CleanDebian
from bed.unavailable import Unavailable
from tests.packaging.conftest import ROOT

pytestmark = pytest.mark.packages
BASE = "docker.io/library/python:3.13-slim-bookworm"
IMAGES = {"keyservice": "Containerfile", "agent": "Containerfile.agent"}
TIMEOUT_S = 600
PIP = "[global]\nno-index = true\nfind-links = /wheels\n"


class Podman:
    """A podman with a store of its own."""

    def __init__(self, folder: Path, program: Path) -> None:
        self._command: list[str | Path] = [
            program,
            "--root",
            folder / "data",
            "--runroot",
            folder / "run",
            "--cgroup-manager=cgroupfs",
        ]

    def run(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            [*self._command, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the locks of the containers name, fetched before: in a build there is no network."""
    folder = tmp_path_factory.mktemp("wheels")
    for lock in (*IMAGES, "build"):
        command = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--require-hashes"]
        command += ["--dest", str(folder), "-r", str(ROOT / "requirements" / f"{lock}.txt")]
        subprocess.run(command, check=True, timeout=TIMEOUT_S, capture_output=True)
    (folder / "pip.conf").write_text(PIP)
    return folder


@pytest.fixture(scope="module")
def podman(
    tmp_path_factory: pytest.TempPathFactory,
    program: Callable[[str], Path],
    could_not_run: Callable[[Unavailable], None],
    wheels: Path,
) -> Iterator[Podman]:
    """Podman with both images, on a Debian that is called as their base is."""
    folder = tmp_path_factory.mktemp("podman")
    podman = Podman(folder, program("podman"))
    base = folder / "base.tar"
    packages = ("python3", "python3-venv", "python3-pip")
    try:
        CleanDebian(packages).write_tar(base, 'ln -s python3 "$1/usr/bin/python"')
    except Unavailable as missing:
        could_not_run(missing)
    podman.run("import", base, BASE)
    base.unlink()
    mounts = (f"--volume={wheels}:/wheels:ro", f"--volume={wheels / 'pip.conf'}:/etc/pip.conf:ro")
    try:
        for name, file in IMAGES.items():
            build = ("build", "--pull=never", "--network=none", "--format=docker", "--layers=false", *mounts)
            podman.run(*build, "-f", ROOT / "deploy" / file, "-t", f"binary-split-{name}", ROOT)
        yield podman
    finally:
        podman.run("rmi", "--all", "--force")


# No timers of systemd, and no limits above those of the machine: a build machine may give neither.
RUN = (
    *("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--no-healthcheck"),
    *("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"),
)


def run_in(podman: Podman, name: str, program: str, *arguments: str) -> list[str]:
    """Run a program of an image, and return what it prints."""
    return podman.run(*RUN, f"--entrypoint={program}", f"binary-split-{name}", *arguments).splitlines()


@pytest.mark.parametrize(("name", "user"), [("keyservice", "10001"), ("agent", "10002")])
def test_the_image_is_nobodys_root_and_looks_after_its_health(podman: Podman, name: str, user: str) -> None:
    (image,) = json.loads(podman.run("image", "inspect", f"binary-split-{name}"))
    assert image["Config"]["User"] == f"{user}:{user}"
    assert image["Healthcheck"]["Test"][:2] == ["CMD", "python"]
    assert run_in(podman, name, "id", "-u") == [user]


def test_the_key_service_image_does_the_main_job_without_a_network_and_on_a_read_only_root(
    podman: Podman, small_release: Path
) -> None:
    mounts = (f"--volume={small_release}:/release.tar:ro", f"--volume={ROOT / 'scripts'}:/scripts:ro")
    image = ("--entrypoint=sh", "binary-split-keyservice")
    printed = podman.run(*RUN, *mounts, *image, "/scripts/smoke-journey", "/release.tar")
    assert printed.endswith("smoke journey: done\n")


def test_the_agent_image_starts_the_agent(podman: Podman) -> None:
    printed = podman.run(*RUN, "binary-split-agent", "serve", "--help")
    assert "--unix PATH" in printed


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_holds_nothing_that_only_builds_it(podman: Podman, name: str) -> None:
    found = run_in(podman, name, "find", "/opt", "/", "-mindepth", "1", "-maxdepth", "1")
    assert "/opt/binary-split" in found
    assert {"/opt/build", "/src", "/wheel"}.isdisjoint(found)
