"""The main job with every part real: engines, key service over HTTPS, program, facade."""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

import binary_split
from bed.certs import make_authority, make_leaf
from bed.dockerd import PrivateDockerd
from binary_split.config import API_SERVICES
from tests.commandline import CommandLine, Ran, Watch

KEY_ID = "release-1.0.0"
_START_TIMEOUT_S = 20


@dataclass
class KeyService:
    """A key service in a process of its own, with one key and one token made by the program."""

    cli: CommandLine
    folder: Path
    token_id: str = ""
    url: str = ""

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def fragment_file(self) -> Path:
        return self.folder / "fragment"

    @property
    def token_file(self) -> Path:
        return self.folder / "token"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    def run(self, *arguments: object) -> Ran:
        ran = self.cli.run(*arguments, "--state", self.folder / "state")
        assert ran.status == 0, ran
        return ran

    def set_up(self) -> None:
        self.run("keyservice", "init")
        self.run("key", "create", KEY_ID, "--out", self.fragment_file)
        issued = self.run("token", "issue", "--key", KEY_ID, "--out", self.token_file, "--json")
        self.token_id = issued.document["token_id"]
        authority = make_authority()
        leaf = make_leaf(authority)
        authority.write_certificate(self.ca_file)
        leaf.write_certificate(self.folder / "cert.pem")
        key = leaf.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (self.folder / "key.pem").write_bytes(key)

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

    def revoke(self) -> None:
        self.run("token", "revoke", self.token_id)

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


@pytest.fixture
def service(cli: CommandLine, tmp_path: Path) -> Iterator[KeyService]:
    folder = tmp_path / "service"
    folder.mkdir()
    service = KeyService(cli, folder)
    service.set_up()
    with service.running():
        yield service


@pytest.fixture
def release(
    cli: CommandLine,
    service: KeyService,
    vendor_engine: PrivateDockerd,
    release_images: dict[str, str],
    tmp_path: Path,
) -> Release:
    """All seven images, sealed on the vendor's engine with the fragment of the key service."""
    archive = tmp_path / "release-1.0.0.cbc"
    vendor = cli.with_environment(DOCKER_HOST=vendor_engine.host)
    ran = vendor.run("seal", "--version", "1.0.0", "--fragment-file", service.fragment_file, "-o", archive)
    assert ran.status == 0, ran
    pins = [part for line in ran.stdout.splitlines() for part in line.split(" ")]
    assert len(pins) == 2 * len(API_SERVICES)
    return Release(archive, pins, release_images)


@pytest.fixture
def device(cli: CommandLine, fresh_device: PrivateDockerd) -> CommandLine:
    return cli.with_environment(DOCKER_HOST=fresh_device.host)


def unlock_arguments(release: Release, service: KeyService, *more: object) -> list[object]:
    where = ["--key-service", service.url, "--token-file", service.token_file, "--ca-file", service.ca_file]
    return ["unlock", release.archive, "--version", "1.0.0", *release.pins, *where, *more]


def test_a_device_unlocks_runs_and_checks_the_release(
    device: CommandLine,
    service: KeyService,
    release: Release,
    fresh_device: PrivateDockerd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = device.run(*unlock_arguments(release, service, "--json"))
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
    assert asked == 1
    service.revoke()
    before = fresh_device.ask("GET", "/images/json?all=1")
    second = device.run(*unlock_arguments(release, service, "--json"))
    assert (second.status, second.document["state"], second.document["loaded"]) == (0, "ready", [])
    assert fresh_device.ask("GET", "/images/json?all=1") == before
    assert service.requests() == asked, "the key service was asked although all images were there"


def test_a_revoked_token_is_28_and_an_absent_service_22(
    device: CommandLine, service: KeyService, release: Release, fresh_device: PrivateDockerd
) -> None:
    service.revoke()
    device.run(*unlock_arguments(release, service)).assert_failed(28, "revoked")
    arguments = unlock_arguments(release, service, "--key-service", "https://127.0.0.1:1")
    device.run(*arguments).assert_failed(22)
    assert fresh_device.ask("GET", "/images/json?all=1") == []


def test_another_authority_is_24_and_an_unknown_token_27(
    device: CommandLine, service: KeyService, release: Release, tmp_path: Path, fresh_device: PrivateDockerd
) -> None:
    other = make_authority("Other CA").write_certificate(tmp_path / "other.pem")
    device.run(*unlock_arguments(release, service, "--ca-file", other)).assert_failed(24)
    unknown = tmp_path / "unknown"
    unknown.write_text(service.token[:-4] + "AAAA")
    device.run(*unlock_arguments(release, service, "--token-file", unknown)).assert_failed(27)
    assert fresh_device.ask("GET", "/images/json?all=1") == []


def test_the_facade_does_the_original_job_with_the_same_service(
    cli: CommandLine,
    service: KeyService,
    release: Release,
    fresh_device: PrivateDockerd,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
    monkeypatch.setenv("BINARY_SPLIT_CA_FILE", str(service.ca_file))
    fragment = binary_split.download_key_fragment(service.url, service.token)
    assert fragment == service.fragment_file.read_bytes()
    tar = tmp_path / "release.tar"
    binary_split.decrypt_archive(str(release.archive), fragment, str(tar))
    binary_split.docker_load(str(tar))
    assert binary_split.check_images_loaded("1.0.0") is True
    assert fresh_device.image_ids() == release.ids


def test_token_and_fragment_are_seen_nowhere(
    device: CommandLine,
    service: KeyService,
    release: Release,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_token = device.with_environment(BINARY_SPLIT_TOKEN=service.token)
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
    process = with_token.start(*arguments, *where)
    watch = Watch(process.pid)
    threading.Thread(target=_look_until_it_ends, args=(watch, process)).start()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert any(b"unlock" in argument for argument in watch.arguments), "nothing was seen"

    with caplog.at_level(logging.DEBUG):
        monkeypatch.setenv("BINARY_SPLIT_CA_FILE", str(service.ca_file))
        binary_split.download_key_fragment(service.url, service.token)
    assert caplog.records, "the log was not watched"

    assert service.requests() == 2
    seen = [stdout, stderr, *watch.arguments, *watch.environments, service.log.read_bytes()]
    assert_no_secret(service, b"\n".join([*seen, caplog.text.encode()]))


def test_token_and_fragment_are_seen_nowhere_when_all_fails(
    device: CommandLine, service: KeyService, release: Release
) -> None:
    service.revoke()
    refused = device.run(*unlock_arguments(release, service, "--progress", "json"))
    assert refused.status == 28
    assert refused.events[-1]["code"] == "fragment-forbidden"
    release.archive.write_bytes(release.archive.read_bytes()[:-16])
    damaged = device.run(
        *unlock_arguments(release, service, "--fragment-file", service.fragment_file, "--progress", "json")
    )
    assert damaged.status == 12
    seen = [refused.stdout, refused.stderr, damaged.stdout, damaged.stderr, json.dumps(damaged.events)]
    assert_no_secret(service, "\n".join(seen).encode() + service.log.read_bytes())


def _look_until_it_ends(watch: Watch, process: subprocess.Popen[bytes]) -> None:
    while process.returncode is None:
        watch.look()
        time.sleep(0.005)


def assert_no_secret(service: KeyService, seen: bytes) -> None:
    import base64

    fragment, token = service.fragment_file.read_bytes(), service.token.encode()
    shapes = [
        fragment,
        fragment.hex().encode(),
        base64.b64encode(fragment)[:40],
        repr(fragment)[2:-1].encode(),
    ]
    for shape in shapes:
        assert shape not in seen
    assert token not in seen
    assert token[-16:] not in seen
    assert token.partition(b"_")[2][:16] not in seen
