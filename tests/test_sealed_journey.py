"""A device from its enrolment to running images, online and offline; service and program are real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from bed.images import build_release
from binary_split.keyservice.state import open_state
from tests.commandline import CommandLine, Ran
from tests.test_end_to_end import KEY_ID, KeyService

pytestmark = pytest.mark.slow

NAME = "azaion/flights"


@dataclass
class Journey:
    """A vendor with a running service and a signed archive."""

    vendor: KeyService
    archive: Path
    publisher: Path

    def code(self, device: str, *, uses: int | None = None) -> str:
        with closing(open_state(self.vendor.folder / "state")) as store:
            store.devices.add(device)
            store.grants.add(KEY_ID, device_id=device, uses=uses)
            return store.enrolment.issue(device, lifetime=timedelta(hours=1)).text

    def where(self) -> tuple[object, ...]:
        return ("--key-service", self.vendor.url, "--ca-file", self.vendor.ca_file)

    def unlock(self, device: CommandLine, *more: object) -> Ran:
        trust = ("--trusted-key", self.publisher)
        engine = ("--engine", f"oci:{device.home / 'engine'}", "--state", device.home / "journal")
        return device.run("unlock", self.archive, *trust, *engine, *more)


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    folder = tmp_path_factory.mktemp("vendor")
    cli = CommandLine(folder)
    vendor = KeyService(cli, folder)
    vendor.set_up()
    build_release(folder / "save.tar", "1.0.0", names=[NAME], filler_bytes=4000)
    origin = ("--image", NAME, "--from", f"docker-archive:{folder / 'save.tar'}", "--version", "1.0.0")
    key = ("--key-id", KEY_ID, "--fragment-file", vendor.fragment_file, "--sign", folder / "publisher")
    assert cli.run("keygen", "-o", folder / "publisher").status == 0
    assert cli.run("seal", *origin, *key, "-o", folder / "x.age").status == 0
    with vendor.running():
        yield Journey(vendor, folder / "x.age", folder / "publisher.pub")


def make_device(folder: Path) -> CommandLine:
    folder.mkdir()
    files = {
        "BINARY_SPLIT_DEVICE_KEY_FILE": str(folder / "device.key"),
        "BINARY_SPLIT_TOKEN_FILE": str(folder / "token"),
    }
    return CommandLine(folder, files)


def test_a_code_becomes_a_device_that_unlocks(journey: Journey, tmp_path: Path) -> None:
    device = make_device(tmp_path / "device")
    code = journey.code("drone-1", uses=1)
    enrolled = device.run("enroll", "-", *journey.where(), stdin=code.encode())
    assert enrolled.status == 0, enrolled
    unlocked = journey.unlock(device, *journey.where())
    assert "1 of 1 image loaded" in unlocked.stderr, unlocked
    log = journey.vendor.log.read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    released = [line for line in lines if line.get("path") == f"/v1/keys/{KEY_ID}/release"]
    assert [(line["method"], line["status"]) for line in released] == [("POST", 200)]
    assert code not in log
    assert (device.home / "token").read_text().strip() not in log


def test_a_stolen_token_opens_nothing_elsewhere(journey: Journey, tmp_path: Path) -> None:
    device, thief = make_device(tmp_path / "device"), make_device(tmp_path / "thief")
    device.run("enroll", journey.code("drone-2"), *journey.where())
    (thief.home / "token").write_bytes((device.home / "token").read_bytes())
    plain = CommandLine(thief.home, {"BINARY_SPLIT_TOKEN_FILE": str(thief.home / "token")})
    journey.unlock(plain, *journey.where()).assert_failed(38, "--device-key")
    assert thief.run("device", "init").status == 0
    journey.unlock(thief, *journey.where()).assert_failed(36, "for another device")
    assert not (thief.home / "engine").exists()


def test_a_machine_without_network_unlocks_by_a_file(journey: Journey, tmp_path: Path) -> None:
    device = make_device(tmp_path / "device")
    device.run("enroll", journey.code("drone-3", uses=1), *journey.where())
    sealed = tmp_path / "sealed"
    journey.vendor.run("release", "--device", "drone-3", "--key", KEY_ID, "-o", sealed)
    unlocked = journey.unlock(device, "--sealed-fragment", sealed)
    assert "1 of 1 image loaded" in unlocked.stderr, unlocked


def test_a_disabled_device_gets_nothing_more(journey: Journey, tmp_path: Path) -> None:
    device = make_device(tmp_path / "device")
    device.run("enroll", journey.code("drone-4"), *journey.where())
    with closing(open_state(journey.vendor.folder / "state")) as store:
        store.devices.disable("drone-4")
    journey.unlock(device, *journey.where()).assert_failed(28)
