"""The journal: written so that a kill at any time leaves one state or the next, read strictly."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from binary_split.engines import EngineDescription, IdKind
from binary_split.errors import JournalError
from binary_split.model import Digest, ImageRef
from binary_split.unlock.checking import ExpectedImage
from binary_split.unlock.journal import Journal
from binary_split.unlock.records import InstalledRelease, Move, Transaction

ENGINE = EngineDescription("docker", "20.10", "overlay2", "unix:///run/docker.sock", IdKind.CONFIG)
REF = ImageRef("azaion/flights", "1.0.0")
IMAGE = ExpectedImage(REF, Digest("a" * 64), Digest("b" * 64), (Digest("c" * 64),), (Digest("d" * 64),))
RELEASE = InstalledRelease(
    "age-0123", (IMAGE,), "2026-01-02T03:04:05+00:00", "azaion", "1.0.0", 7, b'{"payload":"\xff"}'
)
MOVE = Move(ImageRef("binary-split-staging/0011", "0"), REF)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(tmp_path / "state", ENGINE)
    with made.locked():
        pass
    return made


def test_what_was_written_is_read_again(journal: Journal) -> None:
    pinned = replace(RELEASE, archive="cbc-1", product=None, sequence=None, envelope=None)
    journal.write_release(RELEASE)
    journal.write_release(pinned)
    assert set(journal.read_releases()) == {RELEASE, pinned}
    journal.remove_release(RELEASE)
    assert journal.read_releases() == (pinned,)


def test_releases_come_in_the_order_in_which_they_were_installed(journal: Journal) -> None:
    times = ["2026-03-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"]
    for number, time in enumerate(times):
        journal.write_release(replace(RELEASE, archive=f"age-{number}", installed=time))
    assert [release.installed for release in journal.read_releases()] == sorted(times)


@pytest.mark.parametrize("is_committing", [False, True])
def test_a_transaction_is_read_again_until_it_is_removed(journal: Journal, is_committing: bool) -> None:
    transaction = Transaction("0011", (MOVE,), RELEASE, is_committing)
    assert journal.read_transaction() is None
    journal.write_transaction(transaction)
    assert journal.is_unsettled()
    assert journal.read_transaction() == transaction
    journal.remove_transaction()
    assert journal.read_transaction() is None
    assert not journal.is_unsettled()


def test_engines_have_journals_of_their_own(tmp_path: Path, journal: Journal) -> None:
    journal.write_release(RELEASE)
    other = Journal(tmp_path / "state", replace(ENGINE, address="tcp://10.0.0.1:2376"))
    assert other.read_releases() == ()
    upgraded = Journal(tmp_path / "state", replace(ENGINE, version="29.0", store="containerd"))
    assert upgraded.read_releases() == (RELEASE,)


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    made = Journal(tmp_path / "state", ENGINE)
    assert (made.read_releases(), made.read_transaction()) == ((), None)
    assert list(tmp_path.iterdir()) == []


def _documents(journal: Journal, tmp_path: Path) -> list[Path]:
    journal.write_release(RELEASE)
    journal.write_transaction(Transaction("0011", (MOVE,), RELEASE))
    return sorted((tmp_path / "state").rglob("*.json"))


def test_a_damaged_file_is_named_as_such_and_never_guessed_at(journal: Journal, tmp_path: Path) -> None:
    for path in _documents(journal, tmp_path):
        content = path.read_bytes()
        document = json.loads(content)
        damaged = [b"", b"{", b"[]", b"null", b"\xff", content[:-2]]
        damaged += [json.dumps({**document, key: 0.5}).encode() for key in document]
        for key in document:
            damaged.append(json.dumps({name: row for name, row in document.items() if name != key}).encode())
        for row in damaged:
            path.write_bytes(row)
            with pytest.raises(JournalError, match="malformed"):
                (journal.read_releases(), journal.read_transaction())
        path.write_bytes(content)


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(JournalError, match="cannot use the journal"),
        Journal(tmp_path / "file", ENGINE).locked(),
    ):
        pytest.fail("it was locked")


def test_a_second_run_waits_and_says_so(journal: Journal) -> None:
    is_held, may_go, waited, entered = (
        threading.Event(),
        threading.Event(),
        threading.Event(),
        threading.Event(),
    )

    def hold() -> None:
        with journal.locked():
            is_held.set()
            may_go.wait(20)

    def come_second() -> None:
        with journal.locked(waited.set):
            entered.set()

    threads = [threading.Thread(target=hold), threading.Thread(target=come_second)]
    threads[0].start()
    assert is_held.wait(20)
    threads[1].start()
    assert waited.wait(20)
    assert not entered.is_set()
    may_go.set()
    for thread in threads:
        thread.join(20)
    assert entered.is_set()


def test_a_killed_run_leaves_no_lock(journal: Journal, tmp_path: Path) -> None:
    program = (
        "import fcntl, os, sys, time\n"
        "handle = os.open(sys.argv[1], os.O_RDWR)\n"
        "fcntl.flock(handle, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    (lock,) = (tmp_path / "state").rglob("lock")
    with subprocess.Popen([sys.executable, "-c", program, lock], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        holder.wait()
        with journal.locked(lambda: pytest.fail("it was waited for")):
            assert journal.read_releases() == ()
