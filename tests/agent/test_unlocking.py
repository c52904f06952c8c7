"""From the wish to the proof, over HTTP, with a real key service; the engine is a folder."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from binary_split.agent.status import Status
from binary_split.agent.unlocker import Unlocker, UnlockWish
from binary_split.config import Limits
from binary_split.engines import open_engine
from binary_split.errors import UnlockBusyError
from binary_split.unlock.journal import Journal
from tests.agent.places import Place, Vendor
from tests.archives import FRAGMENT, flip_bit
from tests.canary import assert_in_no_file, assert_in_no_text, shapes_of
from tests.releases import AgeRelease

pytestmark = pytest.mark.slow


def test_an_empty_device_becomes_ready_and_says_what_it_has(
    place: Place, vendor: Vendor, release: AgeRelease
) -> None:
    with place.agent_running() as agent:
        assert agent.wait()["state"] == "idle"
        assert agent.ask("GET", "/readyz").status == 503
        begun = agent.unlock()
        assert begun.status == 202
        assert begun.document["archive"] == "stick"
        ready = agent.wait()
        assert (ready["state"], ready["version"], ready["error"]) == ("ready", "1.0.0", None)
        assert {image["name"]: image["state"] for image in ready["images"]} == {
            str(ref): "verified" for ref in release.images
        }
        assert agent.ask("GET", "/readyz").status == 200


@pytest.mark.fault(47)
def test_again_is_ready_at_once_without_a_fragment(place: Place, vendor: Vendor) -> None:
    with place.agent_running() as agent:
        agent.unlock()
        assert agent.wait()["state"] == "ready"
        before = vendor.released()
        again = agent.unlock()
        assert (again.status, again.document["state"]) == (200, "ready")
        assert vendor.released() == before
        loaded = [image["done_bytes"] for image in again.document["images"]]
        assert set(loaded) == {0}


def test_a_wrong_token_is_said_and_the_right_one_in_the_body_then_unlocks(
    place: Place, vendor: Vendor
) -> None:
    wrong = place.with_(token="bsk_wrong-token-0123456789")
    with wrong.agent_running() as agent:
        agent.unlock()
        failed = agent.wait()
        assert failed["state"] == "error"
        error = failed["error"]
        assert error["type"] == "urn:binary-split:problem:token-rejected"
        assert (error["code"], error["retryable"]) == ("token-rejected", False)
        assert error["hint"]
        agent.unlock(token=place.token)
        assert agent.wait()["state"] == "ready"


def test_a_token_of_one_unlock_is_not_remembered(place: Place) -> None:
    wrong = place.with_(token="bsk_wrong-token-0123456789")
    with wrong.agent_running() as agent:
        agent.unlock(token=place.token)
        assert agent.wait()["state"] == "ready"
        agent.unlock(archive="newer")
        assert agent.wait()["error"]["code"] == "token-rejected"


def test_a_damaged_archive_is_said_and_leaves_what_was_there(
    place: Place, newer: AgeRelease, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.age"
    sealed = newer.path.read_bytes()
    damaged.write_bytes(flip_bit(sealed, len(sealed) // 2))
    with place.with_(archives={**place.archives, "bad": damaged}).agent_running() as agent:
        agent.unlock()
        agent.wait()
        agent.unlock(archive="bad")
        failed = agent.wait()
        assert (failed["state"], failed["error"]["code"]) == ("error", "archive-damaged")
        assert agent.unlock().status == 200


def test_an_archive_is_named_and_never_a_path(place: Place, newer: AgeRelease) -> None:
    with place.agent_running() as agent:
        unknown = agent.unlock(archive="other")
        assert unknown.status == 404
        assert unknown.document["type"] == "urn:binary-split:problem:archive-not-configured"
        for name in (str(newer.path), "../newer", "https://example.com/x", ""):
            assert agent.unlock(archive=name).status == 422
        agent.unlock(archive="newer")
        assert agent.wait()["version"] == "1.1.0"


def test_a_version_that_the_archive_is_not_is_refused(place: Place) -> None:
    with place.agent_running() as agent:
        agent.unlock(version="9.9.9")
        assert agent.wait()["error"]["code"] == "image-mismatch"


@pytest.mark.fault(24)
def test_an_older_release_than_the_installed_one_is_refused(place: Place) -> None:
    with place.agent_running() as agent:
        agent.unlock(archive="newer")
        assert agent.wait()["state"] == "ready"
        agent.unlock(archive="stick")
        assert agent.wait()["error"]["code"] == "downgrade"


def test_an_archive_that_is_not_there_is_said(place: Place, tmp_path: Path) -> None:
    with place.with_(archives={"stick": tmp_path / "none.age"}).agent_running() as agent:
        assert agent.wait()["state"] == "idle"
        failed = agent.unlock()
        assert failed.status == 202
        assert agent.wait()["error"]["code"] == "archive-unreadable"


def test_readiness_is_asked_of_the_engine_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.unlocker() as unlocker:
        unlocker.begin(UnlockWish())
        assert _wait(unlocker).state == "ready"
        assert unlocker.check_ready()
        (Path(place.engine.removeprefix("oci:")) / "index.json").unlink()
        assert unlocker.check_ready()  # it was proven a moment ago
        monkeypatch.setattr("binary_split.agent.unlocker.LIMITS", Limits(agent_proof_s=0.0))
        assert not unlocker.check_ready()
        assert unlocker.status().state == "idle"


def test_soon_after_a_boot_readiness_is_proven_as_at_any_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place.unlocker() as unlocker:
        unlocker.begin(UnlockWish())
        assert _wait(unlocker).state == "ready"
    (Path(place.engine.removeprefix("oci:")) / "index.json").unlink()
    clock = SimpleNamespace(monotonic=lambda: 5.0, time=time.time)  # it begins with the boot
    monkeypatch.setattr("binary_split.agent.unlocker.time", clock)
    # what is there cannot be found out yet
    with Journal(place.state, open_engine(place.engine).describe()).locked(), place.unlocker() as unlocker:
        assert not unlocker.check_ready()


@pytest.mark.fault(38)
def test_no_secret_is_in_the_state_the_log_or_a_repr(
    place: Place, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = place.with_(token="bsk_wrong-token-0123456789")
    with wrong.agent_running() as agent:
        shown = agent.unlock(token=place.token)
        assert agent.wait()["state"] == "ready"
        status = agent.ask("GET", "/unlock/status")
        refused = agent.ask("POST", "/unlock", {"token": place.token, "archive": place.token})
    assert refused.status == 422
    assert place.token not in repr(UnlockWish(token=place.token))
    secrets = [
        shape
        for secret in (place.token.encode(), wrong.token.encode(), FRAGMENT)
        for shape in shapes_of(secret)
    ]
    said = [answer.body for answer in (shown, status, refused)]
    assert_in_no_text(secrets, *said, caplog.text, *capfd.readouterr())
    assert_in_no_file(secrets, place.state)


def test_a_release_that_is_there_stays_ready_whatever_fails_after_it(place: Place, newer: AgeRelease) -> None:
    with place.agent_running() as agent:
        agent.unlock(archive="newer")
        assert agent.wait()["state"] == "ready"
        agent.unlock(archive="stick")
        assert agent.wait()["error"]["code"] == "downgrade"
        assert agent.ask("GET", "/readyz").status == 200
    archives = {**place.archives, "newer": place.folder / "unplugged.age"}
    with place.with_(archives=archives).agent_running() as agent:
        found = agent.wait()
        assert (found["state"], found["archive"], found["version"]) == ("ready", "newer", "1.1.0")
        assert {image["name"] for image in found["images"]} == {str(ref) for ref in newer.images}


def test_what_the_command_unlocked_is_found_at_the_start(place: Place, release: AgeRelease) -> None:
    cli_state = place.with_(archives={"other": release.path})
    with cli_state.agent_running() as agent:
        agent.unlock()
        assert agent.wait()["state"] == "ready"
    (place.state / "agent" / "state.json").unlink()
    with place.agent_running() as agent:
        found = agent.wait()
        assert (found["state"], found["archive"], found["started_at"]) == ("ready", "stick", None)


def test_a_cancelled_unlock_does_not_wait_for_another_ones_turn(place: Place) -> None:
    engine = open_engine(place.engine)
    with place.agent_running() as agent:
        agent.wait()
        with Journal(place.state, engine.describe()).locked():
            assert agent.unlock().document["waiting_for"] == "another unlock"
            assert agent.cancel().status == 202
            assert agent.wait()["state"] == "idle"
        agent.unlock()
        assert agent.wait()["state"] == "ready"


def test_an_unlock_that_is_ending_is_not_joined(place: Place, vendor: Vendor) -> None:
    with place.unlocker() as unlocker:
        _wait(unlocker)
        with Journal(place.state, open_engine(place.engine).describe()).locked():
            unlocker.begin(UnlockWish())
            with unlocker._turn:  # whose next step would end it
                job = unlocker._job
                assert job is not None
                job.is_cancelled = True
            with pytest.raises(UnlockBusyError, match="still ending"):
                unlocker.begin(UnlockWish())
            unlocker.cancel()
        assert _wait(unlocker).state == "idle"


def _wait(unlocker: Unlocker) -> Status:
    status = unlocker.status()
    while status.is_running:
        status = unlocker.wait_for(status.number, 20) or status
    return status
