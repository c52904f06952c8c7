"""A journal that can be used, one that cannot, and unlocks that are under way or were left so."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bed.disk import SmallDisk
from binary_split.doctor import Verdict
from binary_split.engines import Engine, open_engine
from binary_split.unlock.journal import Journal
from binary_split.unlock.order import UnlockOrder
from binary_split.unlock.pipeline import unlock
from binary_split.unlock.records import InstalledRelease, Transaction
from tests.archives import Fragments
from tests.doctor.conftest import check
from tests.releases import TRUST, AgeRelease


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"oci:{tmp_path / 'engine'}"


@pytest.fixture
def engine(name: str) -> Engine:
    return open_engine(name)


@pytest.fixture
def journal(engine: Engine, tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state", engine.describe())


def write_transaction(journal: Journal, *, is_committing: bool) -> None:
    release = InstalledRelease("age-00", (), "2026-01-02T03:04:05+00:00", version="1.0.0")
    with journal.locked():
        journal.write_transaction(Transaction("t", (), release, is_committing=is_committing))


def test_a_folder_that_is_not_there_yet_is_in_order(name: str, tmp_path: Path) -> None:
    found = check("journal", engine=name, state=tmp_path / "state")
    assert found.verdict is Verdict.OK
    assert not (tmp_path / "state").exists()


def test_what_is_installed_is_counted(
    name: str, engine: Engine, journal: Journal, release: AgeRelease, tmp_path: Path
) -> None:
    unlock(UnlockOrder(release.path, (), None, trust=TRUST), engine, Fragments(), journal)
    found = check("journal", engine=name, state=tmp_path / "state")
    assert found.verdict is Verdict.OK
    assert found.detail.endswith("installed releases that it knows: 1")


@pytest.mark.parametrize(("is_committing", "end"), [(False, "undone"), (True, "finished")])
def test_an_unlock_that_was_left_says_how_it_will_end(
    name: str, journal: Journal, tmp_path: Path, *, is_committing: bool, end: str
) -> None:
    write_transaction(journal, is_committing=is_committing)
    found = check("journal", engine=name, state=tmp_path / "state")
    assert found.verdict is Verdict.WARNING
    assert "1.0.0 was interrupted" in found.detail
    assert end in found.cure
    assert journal.is_unsettled()


def test_an_unlock_that_is_under_way_is_no_fault(name: str, journal: Journal, tmp_path: Path) -> None:
    with journal.locked():
        found = check("journal", engine=name, state=tmp_path / "state")
    assert found.verdict is Verdict.WARNING
    assert "under way" in found.detail
    assert "Wait" in found.cure
    assert check("journal", engine=name, state=tmp_path / "state").verdict is Verdict.OK


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "transaction.json").write_text("{"),
        lambda folder: (folder / "releases" / "x.json").write_text("[]"),
        lambda folder: (folder / "releases" / "x.json").mkdir(),
    ],
    ids=["transaction", "release", "unreadable"],
)
def test_a_malformed_file_fails(
    name: str, journal: Journal, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    with journal.locked():
        pass
    (folder,) = (tmp_path / "state").iterdir()
    spoil(folder)
    found = check("journal", engine=name, state=tmp_path / "state")
    assert found.verdict is Verdict.FAILED
    assert "--state" in found.cure


def test_a_folder_that_cannot_be_used_fails(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = check("journal", engine=name, state=tmp_path / "file" / "state")
    assert found.verdict is Verdict.FAILED
    assert "cannot be written" in found.detail
    assert "--state" in found.cure


@pytest.mark.slow
def test_a_disk_without_room_or_for_reading_alone_fails(name: str, small_disk: SmallDisk) -> None:
    state = small_disk.path / "state"
    assert check("journal", engine=name, state=state).verdict is Verdict.OK
    small_disk.fill(leave=1 << 20)
    found = check("journal", engine=name, state=state)
    assert found.verdict is Verdict.FAILED
    assert "free for the journal" in found.detail
    assert "Free space" in found.cure
    subprocess.run(["mount", "-o", "remount,ro", small_disk.path], check=True)
    found = check("journal", engine=name, state=state)
    assert found.verdict is Verdict.FAILED
    assert "cannot be written" in found.detail


def test_an_engine_s_own_folder_that_cannot_be_used_fails(
    name: str, journal: Journal, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    journal.folder.touch()
    found = check("journal", engine=name, state=tmp_path / "state")
    assert found.verdict is Verdict.FAILED
    assert f"{journal.folder} cannot be written" in found.detail


def test_a_clock_that_went_back_is_found_by_what_is_installed(
    name: str, journal: Journal, tmp_path: Path
) -> None:
    with journal.locked():
        journal.write_release(InstalledRelease("age-00", (), "2999-01-02T03:04:05+00:00"))
    found = check("clock", engine=name, state=tmp_path / "state")
    assert found.verdict is Verdict.FAILED
    assert "2999-01-02 03:04 UTC" in found.detail
    assert "timedatectl" in found.cure
