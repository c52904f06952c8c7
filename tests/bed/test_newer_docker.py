"""The newer engine leaves nothing behind, also when it is not stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from bed.newer_docker import find_newer_root, newer_dockerd
from bed.unavailable import Unavailable

START_AND_WAIT = """
from bed.newer_docker import newer_dockerd
engine = newer_dockerd(containerd_store=True)
engine.start()
print(engine.folder, flush=True)
input()
"""


def mounts() -> str:
    """Every mount of this machine that any process sees."""
    found = set()
    for table in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            found.add(table.read_text())
        except OSError:
            continue  # it ended meanwhile
    return "".join(found)


def test_its_mounts_are_its_own_and_end_with_it(newer_containerd_engine: PrivateDockerd) -> None:
    folder = str(newer_containerd_engine.folder)
    assert folder in mounts()
    assert folder not in Path("/proc/self/mountinfo").read_text()
    with newer_dockerd(containerd_store=False) as engine:
        other = engine.folder
        assert str(other) in mounts()
    assert not other.exists()
    assert str(other) not in mounts()


@pytest.mark.usefixtures("newer_containerd_engine")  # skipped where no newer engine starts
def test_a_killed_test_run_leaves_no_engine_and_no_mount() -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    folder = run.stdout.readline().strip()
    assert folder in mounts()
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    deadline = time.monotonic() + 20
    while folder in mounts() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert folder not in mounts()


@pytest.mark.usefixtures("newer_containerd_engine")
def test_it_survives_a_crash(release_tar: Path) -> None:
    with newer_dockerd(containerd_store=True) as engine:
        engine.docker("load", "--input", str(release_tar))
        before = engine.image_ids()
        engine.crash()
        engine.start()
        assert engine.image_ids() == before


def test_its_cache_is_not_in_the_repository(newer_containerd_engine: PrivateDockerd) -> None:
    assert newer_containerd_engine.ask("GET", "/version")["ApiVersion"] >= "1.44"
    assert not find_newer_root().is_relative_to(Path(__file__).parents[2])


def test_what_cannot_be_made_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "mmdebstrap"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'E: the mirror does not answer' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{broken.parent}:{os.environ['PATH']}")
    with pytest.raises(
        Unavailable, match=r"newer dockerd: .*(the mirror does not answer|only root|no Debian mirror)"
    ):
        newer_dockerd(containerd_store=True)
    assert not [path for path in tmp_path.rglob("newer-engine*") if path.is_dir()]
