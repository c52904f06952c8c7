"""Engines as they are met: running, stopped, forbidden, silent, and on disks with and without room."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bed.disk import SmallDisk
from bed.dockerd import PrivateDockerd
from bed.podman import PrivatePodman
from bed.unavailable import Unavailable
from binary_split.doctor import Subject, Verdict, run_checks
from binary_split.engines import open_engine
from binary_split.unlock.journal import Journal
from binary_split.unlock.order import UnlockOrder
from binary_split.unlock.pipeline import unlock
from tests.archives import Fragments
from tests.doctor.conftest import check
from tests.releases import TRUST, AgeRelease, make_age_release
from tests.running import child_environment, run_python

MIB = 1 << 20
ASK_AS_NOBODY = """
import os
from binary_split.doctor import Subject, run_checks
list(run_checks(Subject()))  # as root, to import all that is needed: nobody may not be allowed to
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
print([finding for finding in run_checks(Subject()) if finding.name == "engine"])
"""


@pytest.fixture
def docker(fresh_device: PrivateDockerd, monkeypatch: pytest.MonkeyPatch) -> PrivateDockerd:
    monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
    return fresh_device


class TestDocker:
    def test_a_running_engine_says_what_it_is(self, docker: PrivateDockerd) -> None:
        found = check("engine")
        assert found.verdict is Verdict.OK
        description = open_engine("docker").describe()
        assert str(description) in found.detail
        assert f"({description.store})" in found.detail
        assert "; 0 images" in found.detail

    def test_its_disk_is_the_one_that_is_looked_at(self, docker: PrivateDockerd) -> None:
        found = check("disk")
        assert found.verdict is Verdict.OK
        assert str(docker.data_root) in found.detail
        assert "name an ARCHIVE" in found.detail

    def test_a_need_that_is_not_known_is_said_to_be_so(
        self, docker: PrivateDockerd, release: AgeRelease
    ) -> None:
        found = check("disk", release.path)
        assert found.verdict is Verdict.OK
        assert "at least" in found.detail
        assert "--release" in found.detail

    def test_what_is_installed_needs_nothing(
        self, docker: PrivateDockerd, release: AgeRelease, publisher: Path, tmp_path: Path
    ) -> None:
        engine = open_engine("docker")
        journal = Journal(tmp_path / "state", engine.describe())
        unlock(UnlockOrder(release.path, (), None, trust=TRUST), engine, Fragments(), journal)
        found = check("disk", release.path, trusted_keys=(publisher,), state=tmp_path / "state")
        assert found.verdict is Verdict.OK
        assert "every image of the archive is there already" in found.detail

    @pytest.mark.slow
    def test_with_a_release_the_need_is_exact(
        self, docker: PrivateDockerd, release: AgeRelease, releasing: dict[str, Any], tmp_path: Path
    ) -> None:
        found = check("disk", release.path, **releasing, state=tmp_path / "state")
        assert found.verdict is Verdict.OK
        assert "missing images need" in found.detail
        assert docker.image_ids() == {}

    def test_another_user_may_not_ask(self, docker: PrivateDockerd) -> None:
        environment = child_environment(DOCKER_HOST=docker.host, HOME="/nonexistent")
        ran = run_python(ASK_AS_NOBODY, env=environment)
        assert ran.returncode == 0, ran
        assert b"Verdict.FAILED" in ran.stdout
        assert b"not permitted" in ran.stdout or b"ermission denied" in ran.stdout
        assert b"member of the group" in ran.stdout


@pytest.mark.slow
def test_podman_is_looked_at_in_the_same_way(
    podman_engine: PrivatePodman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTAINER_HOST", podman_engine.host)
    found = check("engine", engine="podman")
    assert found.verdict is Verdict.OK
    assert found.detail.startswith("podman ")
    assert check("disk", engine="podman").verdict is Verdict.OK


@pytest.mark.slow
def test_an_engine_that_was_stopped(
    could_not_run: Callable[[Unavailable], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = PrivateDockerd()
    try:
        engine.start()
    except Unavailable as missing:
        could_not_run(missing)
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    engine.stop()
    found = check("engine")
    assert found.verdict is Verdict.FAILED
    assert "nothing answers at" in found.detail
    assert "systemctl start docker" in found.cure
    for name in ("disk", "journal"):
        assert check(name).verdict in {Verdict.SKIPPED, Verdict.OK}
        assert "cannot be asked" in check(name).detail


@pytest.mark.slow
def test_an_engine_that_is_silent_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        findings = {finding.name: finding for finding in run_checks(Subject(), check_s=3)}
    assert findings["engine"].verdict is Verdict.FAILED
    assert findings["engine"].detail == "there is no answer yet"
    assert findings["engine"].cure
    for name in ("disk", "journal"):
        assert findings[name].verdict is Verdict.SKIPPED
        assert "has not been answered" in findings[name].detail
    assert findings["self-test"].verdict is Verdict.OK


@pytest.mark.slow
def test_a_disk_that_fills_up_is_first_a_warning_and_then_a_failure(
    small_disk: SmallDisk, cramped: PrivateDockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", cramped.host)
    large = make_age_release(tmp_path / "large", filler_bytes=60 * MIB, filler_kind="random")
    found = check("disk", large.path)
    assert found.verdict is Verdict.OK, found
    filler = small_disk.fill(leave=80 * MIB)
    found = check("disk", large.path)
    assert found.verdict is Verdict.WARNING, found
    assert "prune" in found.cure
    filler.unlink()
    small_disk.fill(leave=20 * MIB)
    for archive in (large.path, None):
        found = check("disk", archive)
        assert found.verdict is Verdict.FAILED, found
        assert "the disk is full" in found.detail
        assert "Free space" in found.cure


class TestFolder:
    def test_a_folder_that_is_not_there_yet_is_judged_by_where_it_would_be(self, tmp_path: Path) -> None:
        name = f"oci:{tmp_path / 'some' / 'engine'}"
        assert check("engine", engine=name).verdict is Verdict.OK
        found = check("disk", engine=name)
        assert found.verdict is Verdict.OK
        assert f"in {tmp_path};" in found.detail

    def test_a_folder_that_cannot_be_written_fails(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        found = check("engine", engine=f"oci:{tmp_path / 'file' / 'engine'}")
        assert found.verdict is Verdict.FAILED
        assert "cannot be written" in found.detail
        assert found.cure

    def test_an_engine_of_no_known_name_fails(self) -> None:
        found = check("engine", engine="lxc")
        assert found.verdict is Verdict.FAILED
        assert "podman" in found.cure
