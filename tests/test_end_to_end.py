"""The main job with every part real: engines, key service over HTTPS, program, facade."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import binary_split
from bed.certs import make_authority, make_leaf
from bed.dockerd import PrivateDockerd
from binary_split.config import API_SERVICES
from tests.canary import assert_in_no_text, shapes_of
from tests.commandline import CommandLine, Ran, Watch
from tests.engines.conftest import stopped

KEY_ID = "release-1.0.0"
_START_TIMEOUT_S = 20


@dataclass(frozen=True)
class Token:
    """An issued token."""

    id: str
    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text().strip()


@dataclass
class KeyService:
    """A key service in a process of its own, with one key made by the program."""

    cli: CommandLine
    folder: Path
    url: str = ""

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def fragment_file(self) -> Path:
        return self.folder / "fragment"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def run(self, *arguments: object) -> Ran:
        ran = self.cli.run(*arguments, "--state", self.folder / "state")
        assert ran.status == 0, ran
        return ran

    def set_up(self) -> None:
        self.run("keyservice", "init")
        self.run("key", "create", KEY_ID, "--out", self.fragment_file)
        authority = make_authority()
        leaf = make_leaf(authority)
        authority.write_certificate(self.ca_file)
        leaf.write_certificate(self.folder / "cert.pem")
        (self.folder / "key.pem").write_bytes(leaf.key_pem)

    @contextmanager
    def running(self) -> Iterator[KeyService]:
        tls = ["--tls-cert", self.folder / "cert.pem", "--tls-key", self.folder / "key.pem"]
        arguments = ["keyservice", "serve", "--state", self.folder / "state", "--port", "0", *tls]
        with self.log.open("ab") as log:
            process = self.cli.start(*arguments, stdout=log, stderr=log)
        try:
            self.url = self._wait_for_url(process)
            yield self
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0

    def issue(self, path: Path) -> Token:
        issued = self.run("token", "issue", "--key", KEY_ID, "--out", path, "--json")
        return Token(issued.document["token_id"], path)

    def revoke(self, token: Token) -> None:
        self.run("token", "revoke", token.id)

    def requests(self) -> int:
        """Return how many requests for the fragment the log tells of."""
        return self.log.read_text().count("key-fragment")

    def _wait_for_url(self, process: subprocess.Popen[bytes]) -> str:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and process.poll() is None:
            if urls := re.findall(r"listening on (https://\S+)", self.log.read_text()):
                return str(urls[-1])
            time.sleep(0.05)
        raise AssertionError(f"the key service did not start: {self.log.read_text()}")


@dataclass
class Release:
    """The sealed release and the pins that `seal` printed."""

    archive: Path
    pins: list[str]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The program at the vendor's."""
    return CommandLine(tmp_path_factory.mktemp("vendor"))


@pytest.fixture(scope="module")
def service(vendor: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyService]:
    service = KeyService(vendor, tmp_path_factory.mktemp("service"))
    service.set_up()
    with service.running():
        yield service


@pytest.fixture
def token(service: KeyService, tmp_path: Path) -> Token:
    return service.issue(tmp_path / "token")


@pytest.fixture(scope="module")
def release(
    vendor: CommandLine,
    service: KeyService,
    vendor_engine: PrivateDockerd,
    release_images: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Release:
    """All seven images, sealed on the vendor's engine with the fragment of the key service."""
    archive = tmp_path_factory.mktemp("sealed") / "release-1.0.0.cbc"
    here = vendor.with_environment(DOCKER_HOST=vendor_engine.host)
    ran = here.run(
        "seal",
        "--format",
        "cbc",
        "--version",
        "1.0.0",
        "--fragment-file",
        service.fragment_file,
        "-o",
        archive,
    )
    assert ran.status == 0, ran
    pins = [part for line in ran.stdout.splitlines() for part in line.split(" ")]
    assert len(pins) == 2 * len(API_SERVICES)
    return Release(archive, pins, release_images)


@pytest.fixture
def device(cli: CommandLine, fresh_device: PrivateDockerd) -> CommandLine:
    return cli.with_environment(DOCKER_HOST=fresh_device.host)


def unlock_arguments(release: Release, service: KeyService, token: Token, *more: object) -> list[object]:
    where = ["--key-service", service.url, "--token-file", token.path, "--ca-file", service.ca_file]
    return ["unlock", release.archive, "--version", "1.0.0", *release.pins, *where, *more]


def all_images(engine: PrivateDockerd) -> list[str]:
    return sorted(image["Id"] for image in engine.ask("GET", "/images/json?all=1"))


def test_a_device_unlocks_runs_and_checks_the_release(
    device: CommandLine,
    service: KeyService,
    token: Token,
    release: Release,
    fresh_device: PrivateDockerd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before_first = service.requests()
    first = device.run(*unlock_arguments(release, service, token, "--json"))
    assert first.status == 0, first
    assert sorted(first.document["loaded"]) == sorted(release.ids)
    assert fresh_device.image_ids() == release.ids
    assert device.run("check", "--version", "1.0.0", *release.pins).status == 0

    ran = fresh_device.docker("run", "--rm", "--network", "none", "azaion/flights:1.0.0")
    assert ran.stdout == "azaion/flights 1.0.0 is running\n"

    monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
    assert binary_split.check_images_loaded("1.0.0") is True
    assert binary_split.check_images_loaded("9.9.9") is False

    asked = service.requests()
    assert asked == before_first + 1
    service.revoke(token)
    before = all_images(fresh_device)
    second = device.run(*unlock_arguments(release, service, token, "--json"))
    assert (second.status, second.document["state"], second.document["loaded"]) == (0, "ready", [])
    assert all_images(fresh_device) == before
    assert service.requests() == asked, "the key service was asked although all images were there"


@pytest.mark.fault(51)
def test_a_revoked_token_is_28_and_an_absent_service_22(
    device: CommandLine, service: KeyService, token: Token, release: Release, fresh_device: PrivateDockerd
) -> None:
    service.revoke(token)
    device.run(*unlock_arguments(release, service, token)).assert_failed(28, "revoked")
    arguments = unlock_arguments(release, service, token, "--key-service", "https://127.0.0.1:1")
    device.run(*arguments).assert_failed(22)
    assert all_images(fresh_device) == []


@pytest.mark.fault(51)
def test_a_token_revoked_during_a_load_ends_at_the_next_request(
    device: CommandLine, service: KeyService, token: Token, release: Release, fresh_device: PrivateDockerd
) -> None:
    with device.running(*unlock_arguments(release, service, token, "--progress", "json")) as process:
        assert process.stdout is not None
        assert any(json.loads(line)["step"] == "loading_images" for line in process.stdout)
        with stopped(fresh_device.pid):
            service.revoke(token)
            assert process.poll() is None, "the load was over before the token was revoked"
        _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert fresh_device.image_ids() == release.ids
    fresh_device.docker("image", "rm", "azaion/flights:1.0.0")
    left = fresh_device.image_ids()
    device.run(*unlock_arguments(release, service, token)).assert_failed(28, "revoked")
    assert fresh_device.image_ids() == left
    assert (
        device.run(*unlock_arguments(release, service, service.issue(token.path.with_name("new")))).status
        == 0
    )
    assert fresh_device.image_ids() == release.ids


def test_another_authority_is_24_and_an_unknown_token_27(
    device: CommandLine,
    service: KeyService,
    token: Token,
    release: Release,
    tmp_path: Path,
    fresh_device: PrivateDockerd,
) -> None:
    other = make_authority("Other CA").write_certificate(tmp_path / "other.pem")
    device.run(*unlock_arguments(release, service, token, "--ca-file", other)).assert_failed(24)
    unknown = tmp_path / "unknown"
    unknown.write_text(token.text[:-4] + "AAAA")
    device.run(*unlock_arguments(release, service, token, "--token-file", unknown)).assert_failed(27)
    assert all_images(fresh_device) == []


def test_the_facade_does_the_original_job_with_the_same_service(
    cli: CommandLine,
    service: KeyService,
    token: Token,
    release: Release,
    fresh_device: PrivateDockerd,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
    monkeypatch.setenv("BINARY_SPLIT_CA_FILE", str(service.ca_file))
    fragment = binary_split.download_key_fragment(service.url, token.text)
    assert fragment == service.fragment_file.read_bytes()
    tar = tmp_path / "release.tar"
    binary_split.decrypt_archive(str(release.archive), fragment, str(tar))
    binary_split.docker_load(str(tar))
    assert binary_split.check_images_loaded("1.0.0") is True
    assert fresh_device.image_ids() == release.ids


@pytest.mark.fault(38)
def test_token_and_fragment_are_seen_nowhere(
    device: CommandLine,
    service: KeyService,
    token: Token,
    release: Release,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_token = device.with_environment(BINARY_SPLIT_TOKEN=token.text)
    arguments = [
        "unlock",
        release.archive,
        "--version",
        "1.0.0",
        *release.pins,
        "--progress",
        "json",
        "--json",
    ]
    where = ["--key-service", service.url, "--ca-file", service.ca_file]
    asked = service.requests()
    with with_token.running(*arguments, *where) as process:
        watch = Watch(process.pid)
        threading.Thread(target=_look_until_it_ends, args=(watch, process)).start()
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert any(b"unlock" in argument for argument in watch.arguments), "nothing was seen"

    with caplog.at_level(logging.DEBUG):
        monkeypatch.setenv("BINARY_SPLIT_CA_FILE", str(service.ca_file))
        binary_split.download_key_fragment(service.url, token.text)
    assert caplog.records, "the log was not watched"

    assert service.requests() == asked + 2
    seen = [stdout, stderr, *watch.arguments, *watch.environments, service.log.read_bytes()]
    assert_no_secret(service, token, b"\n".join([*seen, caplog.text.encode()]))


@pytest.mark.fault(38)
def test_token_and_fragment_are_seen_nowhere_when_all_fails(
    device: CommandLine, service: KeyService, token: Token, release: Release, tmp_path: Path
) -> None:
    service.revoke(token)
    refused = device.run(*unlock_arguments(release, service, token, "--progress", "json"))
    assert refused.status == 28
    assert refused.events[-1]["code"] == "fragment-forbidden"
    cut = Release(tmp_path / "cut.cbc", release.pins, release.ids)
    cut.archive.write_bytes(release.archive.read_bytes()[:-16])
    by_hand = ["--fragment-file", service.fragment_file, "--progress", "json"]
    damaged = device.run(*unlock_arguments(cut, service, token, *by_hand))
    assert damaged.status == 12
    seen = [refused.stdout, refused.stderr, damaged.stdout, damaged.stderr, json.dumps(damaged.events)]
    assert_no_secret(service, token, "\n".join(seen).encode() + service.log.read_bytes())


def _look_until_it_ends(watch: Watch, process: subprocess.Popen[bytes]) -> None:
    while process.returncode is None:
        watch.look()
        time.sleep(0.005)


def assert_no_secret(service: KeyService, token: Token, seen: bytes) -> None:
    text = token.text.encode()
    parts = [text[-16:], text.partition(b"_")[2][:16]]
    assert_in_no_text([*shapes_of(service.fragment_file.read_bytes()), *shapes_of(text), *parts], seen)


@pytest.mark.fault(38)
def test_the_docker_program_is_not_given_the_token(
    cli: CommandLine, release: Release, fresh_device: PrivateDockerd, program: Callable[[str], Path]
) -> None:
    """A `docker` that writes down how it was called stands before the real one."""
    notes = cli.home / "notes"
    shim = cli.home / "bin" / "docker"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nenv >>{notes}\necho "$0 $@" >>{notes}\nexec {program("docker")} "$@"\n')
    shim.chmod(0o755)
    secret = "bst_a-token-that-must-not-be-inherited"
    here = cli.with_environment(
        DOCKER_HOST=fresh_device.host, BINARY_SPLIT_TOKEN=secret, PATH=f"{shim.parent}:{os.environ['PATH']}"
    )
    code = "import binary_split; print(binary_split.check_images_loaded('1.0.0'))"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=here.whole_environment(), capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"
    assert "image inspect azaion/annotations:1.0.0" in notes.read_text()
    assert secret not in notes.read_text()
