"""All or nothing: wherever a run ends, the next leaves the old references or the new, and no staging name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from binary_split.engines import Abort, Engine
from binary_split.engines.oci_folder import OciFolder
from binary_split.errors import EngineAbortedError, EngineLoadError, ImageMismatchError, JournalError
from binary_split.model import Digest, ImageRef
from binary_split.unlock.journal import Journal
from binary_split.unlock.order import UnlockOrder
from binary_split.unlock.pipeline import unlock
from binary_split.unlock.transaction import recover
from tests.archives import Fragments, Sealed, make_sealed
from tests.unlock.conftest import NAMES

CALLS = ("load", "find_image", "verify_unpacked", "tag", "untag", "list_images")


class _Killed(BaseException):
    """The end of the process, in a test that goes on: nothing catches it but what catches everything."""


class MortalEngine(OciFolder):
    """An OCI folder that ends the run at its n-th call, before or after the call has had its effect."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.calls = 0
        self.dies_at: int | None = None
        self.dies_after = False

    def _step(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.dies_at is not None and self.calls > self.dies_at:
            raise _Killed
        if self.calls == self.dies_at:
            if self.dies_after:
                call()
            raise _Killed
        return call()


def _mortal(name: str) -> Callable[..., Any]:
    def method(self: MortalEngine, *arguments: Any, **named: Any) -> Any:
        return self._step(lambda: getattr(OciFolder, name)(self, *arguments, **named))

    return method


for _name in CALLS:
    setattr(MortalEngine, _name, _mortal(_name))


@pytest.fixture
def old(tmp_path: Path) -> Sealed:
    """The same references as the new release, for other images."""
    return make_sealed(tmp_path / "old", "1.0.0", NAMES, seed=5)


@pytest.fixture
def folder(tmp_path: Path, old: Sealed) -> Path:
    folder = tmp_path / "engine"
    run(OciFolder(folder), old)
    return folder


def journal_of(engine: OciFolder) -> Journal:
    return Journal(Path(engine.describe().address).parent / "state", engine.describe())


def run(engine: OciFolder, release: Sealed, **more: Any) -> None:
    order = UnlockOrder(release.path, release.images, release.pins, **more)
    unlock(order, engine, Fragments(), journal_of(engine))


def ids(engine: Engine) -> dict[ImageRef, Digest]:
    return {ref: image.id for image in engine.list_images() for ref in image.refs}


@pytest.mark.fault(41)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # _Killed, in the sweep
@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.slow
def test_a_run_killed_at_any_call_leaves_the_old_images_or_the_new(
    folder: Path, old: Sealed, sealed: Sealed, after: bool, tmp_path: Path
) -> None:
    outcomes = set()
    for number in range(1, 200):
        work = tmp_path / f"try{number}"
        work.mkdir()
        shutil.copytree(folder, work / "engine")
        shutil.copytree(tmp_path / "state", work / "state")
        engine = MortalEngine(work / "engine")
        _move_journal(work, engine, folder)
        engine.dies_at, engine.dies_after = number, after
        try:
            run(engine, sealed)
        except _Killed:
            settled = OciFolder(work / "engine")
            with journal_of(settled).locked():
                recover(settled, journal_of(settled))
            found = ids(settled)
            assert found in (old.pins, sealed.pins), number
            assert not journal_of(settled).is_unsettled()
            outcomes.add(found == sealed.pins)
            run(settled, sealed)
            assert ids(settled) == sealed.pins
        else:
            assert ids(OciFolder(work / "engine")) == sealed.pins
            break
    else:
        pytest.fail("the run never came to its end")
    assert outcomes == {False, True}


def _move_journal(work: Path, engine: OciFolder, folder: Path) -> None:
    """Give the copied engine the journal of the first: it is named by the engine's address."""
    (copied,) = [path for path in (work / "state").iterdir() if path.is_dir()]
    with journal_of(engine).locked():
        pass
    (own,) = [path for path in (work / "state").iterdir() if path.is_dir() and path != copied]
    for path in (copied / "releases").iterdir():
        path.rename(own / "releases" / path.name)


class TestFailures:
    def test_of_a_load_leave_the_old_references_and_no_staging_name(
        self, folder: Path, old: Sealed, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = OciFolder(folder)

        def fail(*_arguments: object, **_named: object) -> None:
            raise EngineLoadError("no space left on device")

        monkeypatch.setattr(engine, "load", fail)
        with pytest.raises(EngineLoadError, match="no space"):
            run(engine, sealed)
        assert ids(engine) == old.pins

    def test_of_the_proof_leave_the_old_references_and_no_staging_name(
        self, folder: Path, old: Sealed, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The engine says that it loaded and has another image: its word is not believed."""
        engine = OciFolder(folder)
        find = engine.find_image

        def find_another(ref: ImageRef) -> Any:
            found = find(ref)
            staged = ref.name.startswith("binary-split-staging/")
            return find(old.images[0]) if staged and found else found

        monkeypatch.setattr(engine, "find_image", find_another)
        with pytest.raises(ImageMismatchError):
            run(engine, sealed)
        monkeypatch.undo()
        assert ids(engine) == old.pins

    def test_of_the_journal_come_before_the_engine_is_touched(
        self, folder: Path, old: Sealed, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_arguments: object) -> None:
            raise JournalError("cannot write: no space left on device")

        monkeypatch.setattr(Journal, "write_transaction", full)
        engine = MortalEngine(folder)
        with pytest.raises(JournalError):
            run(engine, sealed)
        assert ids(OciFolder(folder)) == old.pins

    def test_an_abort_ends_the_run(self, folder: Path, old: Sealed, sealed: Sealed) -> None:
        engine, abort = OciFolder(folder), Abort()
        abort.set()
        order = UnlockOrder(sealed.path, sealed.images, sealed.pins)
        with pytest.raises(EngineAbortedError):
            unlock(order, engine, Fragments(), journal_of(engine), abort=abort)
        assert ids(engine) == old.pins


def test_a_staging_name_that_somebody_removed_makes_the_next_run_load_again(
    folder: Path, old: Sealed, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = OciFolder(folder)
    tag = engine.tag

    def tag_once(source: ImageRef, target: ImageRef) -> None:
        tag(source, target)
        raise _Killed

    monkeypatch.setattr(engine, "tag", tag_once)
    with pytest.raises(_Killed):
        run(engine, sealed)
    monkeypatch.undo()
    for ref in ids(engine):
        if ref.name.startswith("binary-split-staging/"):
            engine.untag(ref)
    run(engine, sealed)
    assert ids(engine) == sealed.pins


def test_images_that_are_not_the_releases_are_not_touched(
    folder: Path, sealed: Sealed, tmp_path: Path
) -> None:
    engine = OciFolder(folder)
    foreign = make_sealed(tmp_path / "foreign", "9", ("somebody/else",))
    run(engine, foreign)
    run(engine, sealed)
    assert ids(engine) == {**sealed.pins, **foreign.pins}
