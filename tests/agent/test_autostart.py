"""Unlocks that nobody asked for: at the start, from a medium, and again once what failed has passed."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bed.certs import make_authority, make_leaf
from bed.nginx import PrivateNginx
from bed.unavailable import Unavailable
from binary_split.agent import autostart
from binary_split.agent.autostart import Autostart
from binary_split.agent.media import find_newest
from binary_split.agent.settings import AgentSettings, ArchiveChoice
from binary_split.agent.status import Failure, ImageState, ImageStatus, Status
from binary_split.agent.status_line import StatusLine, describe
from binary_split.agent.unlocker import Unlocker
from binary_split.config import LIMITS, Settings
from binary_split.engines.oci_folder import OciFolder
from binary_split.errors import ArchiveUnreadableError, FragmentNotFoundError
from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.keyservice.state import create_state, open_state
from binary_split.keyservice.store import Store
from binary_split.model import Fragment
from binary_split.oci.publisher_key import PrivateKey
from binary_split.transports import ArchiveLocation, HttpLocation
from binary_split.transports.options import HttpOptions
from binary_split.transports.web import places
from binary_split.unlock.states import State
from tests.archives import FRAGMENT, make_sealed
from tests.keyservice.running import running
from tests.releases import KEY, KEY_ID, AgeRelease, make_age_release

pytestmark = pytest.mark.slow  # each unlocks a release


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> AgeRelease:
    return make_age_release(tmp_path_factory.mktemp("signed"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    create_state(tmp_path / "keyservice")
    store = open_state(tmp_path / "keyservice")
    store.keys.add(KEY_ID, Fragment(FRAGMENT))
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and try again soon."""
    limits = replace(LIMITS, agent_look_s=0.1, agent_retry_first_s=0.1, agent_retry_cap_s=0.4)
    monkeypatch.setattr(autostart, "LIMITS", limits)
    monkeypatch.setattr(places, "LIMITS", replace(LIMITS, fetch_deadline_s=0.5))


class Bench:
    """A device whose engine is a folder, with an agent in this process."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.engine = OciFolder(folder / "images")
        self.token = store.tokens.issue(KEY_ID, lifetime=timedelta(hours=1)).text
        trusted = folder / "trusted"
        trusted.mkdir()
        (trusted / "key.pem").write_bytes(KEY.public_key.serialise())

    @contextmanager
    def agent(self, url: str, **archives: ArchiveLocation) -> Iterator[Unlocker]:
        settings = Settings(
            key_service=url,
            token=self.token,
            engine=f"oci:{self.folder / 'images'}",
            trusted_keys_folder=self.folder / "trusted",
            state=self.folder / "state",
        )
        choices = {name: ArchiveChoice(name, path) for name, path in archives.items()}
        agent = AgentSettings(choices, next(iter(choices)), tuple(choices))
        with closing(Unlocker(settings, agent)) as unlocker, closing(Autostart(unlocker, agent)):
            yield unlocker

    def has(self, release: AgeRelease) -> bool:
        return all(self.engine.find_image(ref) is not None for ref in release.images)


@pytest.fixture
def bench(tmp_path: Path, store: Store) -> Bench:
    return Bench(tmp_path, store)


def until(is_so: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def is_ready(unlocker: Unlocker) -> Callable[[], bool]:
    return lambda: unlocker.status().state is State.READY


def failed_with(unlocker: Unlocker, code: str) -> Callable[[], bool]:
    def is_so() -> bool:
        failure = unlocker.status().failure
        return failure is not None and failure.code == code

    return is_so


def test_an_archive_that_is_there_at_the_start_is_unlocked(
    bench: Bench, store: Store, release: AgeRelease
) -> None:
    with (
        running(store, ServiceLimits()) as (url, _guards),
        bench.agent(url, shipped=release.path) as unlocker,
    ):
        until(is_ready(unlocker))
        assert bench.has(release)
        assert {image.state for image in unlocker.status().images} == {ImageState.VERIFIED}


def test_an_archive_on_a_web_server_is_unlocked_once_there_is_a_line(
    bench: Bench, store: Store, release: AgeRelease, could_not_run: Callable[[Unavailable], None]
) -> None:
    with ExitStack() as later:
        root = Path(later.enter_context(tempfile.TemporaryDirectory(prefix="bed-www-")))
        root.chmod(0o755)
        shutil.copy(release.path, root / "bundle.age")
        (root / "bundle.age").chmod(0o644)
        authority = make_authority()
        server = PrivateNginx(root, make_leaf(authority))
        try:
            server.start()
        except Unavailable as missing:
            could_not_run(missing)
        later.callback(server.stop)
        server.end()
        ca_file = authority.write_certificate(bench.folder / "ca.pem")
        place = HttpLocation(f"{server.tls_url}/bundle.age", HttpOptions(ca_file=ca_file))
        url, _guards = later.enter_context(running(store, ServiceLimits()))
        unlocker = later.enter_context(bench.agent(url, cdn=place))
        until(failed_with(unlocker, "archive-unreachable"))
        server.launch()
        until(is_ready(unlocker), 60)
        assert bench.has(release)


def test_a_medium_is_unlocked_when_it_is_whole(bench: Bench, store: Store, release: AgeRelease) -> None:
    medium = bench.folder / "medium"
    medium.mkdir()
    content = release.path.read_bytes()
    with running(store, ServiceLimits()) as (url, _guards), bench.agent(url, usb=medium) as unlocker:
        until(lambda: unlocker.status().state is State.IDLE)
        with (medium / "bundle.age").open("wb", buffering=0) as file:
            file.write(content[: len(content) // 2])
            time.sleep(0.4)
            file.write(content[len(content) // 2 :])
        until(is_ready(unlocker))
        assert bench.has(release)


def test_what_fails_while_offline_is_tried_again(bench: Bench, store: Store, release: AgeRelease) -> None:
    with ExitStack() as later:
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
        unlocker = later.enter_context(bench.agent(f"http://127.0.0.1:{port}", shipped=release.path))
        until(failed_with(unlocker, "key-service-unreachable"))
        later.enter_context(running(store, ServiceLimits(), port=port))
        until(is_ready(unlocker), 60)
        assert bench.has(release)


def test_a_damaged_archive_is_not_tried_again_until_it_is_another(
    bench: Bench, store: Store, release: AgeRelease
) -> None:
    path = bench.folder / "bundle.age"
    content = bytearray(release.path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with running(store, ServiceLimits()) as (url, _guards), bench.agent(url, shipped=path) as unlocker:
        until(failed_with(unlocker, "archive-damaged"))
        number = unlocker.status().number
        time.sleep(1.0)
        assert unlocker.status().number == number
        shutil.copy(release.path, path)
        until(is_ready(unlocker))


@pytest.mark.parametrize(
    ("signer", "code"),
    [(PrivateKey.generate(), "signature-untrusted"), (None, "signature-missing")],
    ids=["foreign", "unsigned"],
)
def test_what_no_trusted_key_signed_is_not_loaded(
    signer: PrivateKey | None, code: str, bench: Bench, store: Store, tmp_path: Path
) -> None:
    forged = make_age_release(tmp_path / "stick", key=signer)
    with running(store, ServiceLimits()) as (url, _guards), bench.agent(url, usb=forged.path) as unlocker:
        until(failed_with(unlocker, code))
        assert not any(bench.engine.find_image(ref) for ref in forged.images)


def test_what_is_not_granted_yet_is_asked_for_again_much_later(tmp_path: Path) -> None:
    path = tmp_path / "bundle.age"
    path.write_bytes(b"some bytes")
    os.utime(path, (1, 1))
    candidate = autostart.Candidate(ArchiveChoice("shipped", path))
    assert candidate.is_due(0.0)
    refused = Status(1, State.ERROR, 0.0, failure=Failure(FragmentNotFoundError.code, "no grant"))
    candidate.note(refused, 0.0)
    assert not candidate.is_due(0.7 * LIMITS.agent_grant_s)
    assert candidate.is_due(1.3 * LIMITS.agent_grant_s)


def test_the_newest_archive_in_a_folder_is_told_by_its_content(tmp_path: Path, release: AgeRelease) -> None:
    for age_s, name in enumerate(("newest.iso", "older.age", "oldest.age")):
        shutil.copy(release.path, tmp_path / name)
        os.utime(tmp_path / name, (1_000_000 - age_s, 1_000_000 - age_s))
    shutil.copy(release.path, tmp_path / ".hidden.age")
    (tmp_path / "link.age").symlink_to(release.path)
    (tmp_path / "folder.age").mkdir()
    (tmp_path / "notes.age").write_text("no archive")
    make_sealed(tmp_path / "cbc", "1.0.0", ("azaion/flights",)).path.rename(tmp_path / "old.cbc")
    assert find_newest(tmp_path).name == "newest.iso"


def test_a_place_that_cannot_be_looked_at_is_one_without_an_archive(tmp_path: Path) -> None:
    choice = ArchiveChoice("closed", tmp_path / ("x" * 300))  # as in a folder that is closed to the agent
    with pytest.raises(ArchiveUnreadableError, match="cannot look at"):
        choice.locate()
    assert not autostart.Candidate(choice).is_due(0.0)


def test_a_look_that_fails_as_none_should_is_not_the_last_one(
    bench: Bench, release: AgeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = threading.Event()
    outcomes = iter([RuntimeError("bsk_secret")])

    def fail_once(_place: ArchiveLocation) -> None:
        if (error := next(outcomes, None)) is not None:
            raise error
        again.set()

    monkeypatch.setattr(autostart, "sight", fail_once)
    with bench.agent("http://127.0.0.1:1", usb=release.path):
        assert again.wait(20)


def test_a_medium_that_hangs_does_not_hold_up_the_end(
    bench: Bench, release: AgeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, plugged_out = threading.Event(), threading.Event()

    def hang(_place: ArchiveLocation) -> None:
        looking.set()
        assert plugged_out.wait(20)

    monkeypatch.setattr(autostart, "sight", hang)
    monkeypatch.setattr(autostart, "_END_S", 0.1)
    with bench.agent("http://127.0.0.1:1", usb=release.path):
        assert looking.wait(20)
    assert not plugged_out.is_set()
    plugged_out.set()


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_an_archive_says_what_to_do(tmp_path: Path, there: bool) -> None:
    folder = tmp_path if there else tmp_path / "gone"
    with pytest.raises(ArchiveUnreadableError, match=r"lies in|look into"):
        find_newest(folder)


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (Status(1, State.IDLE, 0.0), "idle"),
        (
            Status(
                1,
                State.LOADING_IMAGES,
                0.0,
                done_bytes=50 << 20,
                total_bytes=200 << 20,
                rate_bytes_per_s=float(10 << 20),
                remaining_s=15.2,
            ),
            "loading images: 25 % of 200.0 MiB, 10.0 MiB/s, 15 s left",
        ),
        (
            Status(
                1,
                State.READY,
                0.0,
                archive="usb",
                version="1.2",
                images=(ImageStatus("a", ImageState.VERIFIED),),
            ),
            "ready: usb 1.2, images verified: 1",
        ),
        (
            Status(1, State.ERROR, 0.0, failure=Failure("engine-unreachable", "no\nengine")),
            "failed (engine-unreachable): no engine",
        ),
        (Status(1, State.CHECKING, 0.0, waiting_for="the engine"), "checking: waiting for the engine"),
    ],
)
def test_the_line_for_systemd(status: Status, line: str) -> None:
    assert describe(status) == line


def test_systemd_is_told_how_it_stands(
    bench: Bench, store: Store, release: AgeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = bench.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(address))
        channel.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        with (
            running(store, ServiceLimits()) as (url, _guards),
            bench.agent(url, shipped=release.path) as unlocker,
            closing(StatusLine(unlocker)),
        ):
            until(is_ready(unlocker))
            heard = ""
            while "ready" not in heard:
                heard = channel.recv(4096).decode()
        assert heard == "STATUS=ready: shipped 1.0.0, images verified: 2"
