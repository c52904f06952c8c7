"""``binary-split enroll``: a code becomes a token in a private file, and is not spent for nothing."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bed.certs import make_authority, make_leaf
from bed.fault_server import FaultServer, answer
from binary_split.sealedfragment import Kem, PublicKey, parse_device_key
from tests.commandline import CommandLine, Ran

pytestmark = pytest.mark.slow  # each command is a process of its own

CODE = "bse_one-time-code-0123456789"
TOKEN = "bsk_token-of-the-device"
ENROLLED = json.dumps({"device": "drone-7", "token": TOKEN}).encode()
OK = answer("200 OK", "Content-Type: application/json", body=ENROLLED)
REFUSED = answer(
    "403 Forbidden", "Content-Type: application/problem+json", body=b'{"detail":"It has expired."}'
)


@dataclass
class Device:
    """A device that is to be enrolled at a service of one script."""

    folder: Path
    cli: CommandLine
    tls: Any
    server: FaultServer | None = None

    def command(self, url: str, *more: object) -> tuple[object, ...]:
        files = ("--token-file", self.folder / "token", "--device-key", self.folder / "key")
        return ("enroll", *more, "--key-service", url, "--ca-file", self.folder / "ca.pem", *files)

    def enroll(self, *more: object, script: object = OK, stdin: bytes = b"") -> Ran:
        with FaultServer(script, tls=self.tls) as self.server:  # type: ignore[arg-type]
            return self.cli.run(*self.command(self.server.url(), *more), stdin=stdin)

    def posted(self) -> dict[str, Any]:
        assert self.server is not None
        document: dict[str, Any] = json.loads(self.server.requests[-1].partition(b"\r\n\r\n")[2])
        return document

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"tmp", "ca.pem"}


@pytest.fixture
def device(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Device:
    authority = make_authority()
    authority.write_certificate(tmp_path / "ca.pem")
    tls = make_leaf(authority).server_context(tmp_path_factory.mktemp("tls"))
    return Device(tmp_path, CommandLine(tmp_path), tls)


def test_it_writes_the_token_and_makes_a_key(device: Device) -> None:
    ran = device.enroll(CODE)
    assert ran.status == 0, ran
    assert (device.folder / "token").read_text() == TOKEN + "\n"
    assert {(device.folder / name).stat().st_mode & 0o777 for name in ("token", "key")} == {0o600}
    public = PublicKey.of(parse_device_key((device.folder / "key").read_bytes()))
    assert device.posted() == {"code": CODE, "public_key": public.serialise()}
    assert device.files() == {"token", "key"}
    assert "drone-7" in ran.stderr
    assert ran.stdout == ""
    assert TOKEN not in ran.stderr
    assert CODE not in ran.stderr


def test_json_says_who_it_is_and_where_the_files_are(device: Device) -> None:
    ran = device.enroll(CODE, "--json", "--hybrid")
    key = parse_device_key((device.folder / "key").read_bytes())
    assert key.kem is Kem.HYBRID
    assert ran.document == {
        "device": "drone-7",
        "token_file": str(device.folder / "token"),
        "device_key_file": str(device.folder / "key"),
        "public_key": PublicKey.of(key).serialise(),
    }


def test_a_key_that_is_there_is_used(device: Device) -> None:
    public = device.cli.run("device", "init", "-o", device.folder / "key").stdout.strip()
    assert device.enroll(CODE).status == 0
    assert device.posted()["public_key"] == public


@pytest.mark.parametrize("way", [("-",), ("--code-file", "-"), ("--code-file", "code")])
def test_the_code_comes_from_stdin_or_a_file_too(device: Device, way: tuple[str, ...]) -> None:
    (device.folder / "code").write_text(f"{CODE}\n")
    assert device.enroll(*way, stdin=f"{CODE}\n".encode()).status == 0
    assert device.posted()["code"] == CODE


def test_a_refused_code_leaves_no_token(device: Device) -> None:
    ran = device.enroll(CODE, script=REFUSED)
    ran.assert_failed(37, "refuses the code", "It has expired.")
    assert device.files() == {"key"}  # which the next code will enrol


def test_a_lost_answer_leaves_no_token_and_the_same_key_for_the_next_try(device: Device) -> None:
    lost = answer("200 OK", "Content-Type: application/json", body=ENROLLED, length=999)
    device.enroll(CODE, script=lost).assert_failed(35)
    first = device.posted()
    assert device.files() == {"key"}
    assert device.enroll(CODE).status == 0
    assert device.posted() == first


class TestBeforeTheCodeIsSpent:
    def assert_nothing_was_asked(self, device: Device) -> None:
        assert device.server is not None
        assert device.server.connections == 0

    def test_a_token_file_that_exists_is_refused_and_not_touched(self, device: Device) -> None:
        (device.folder / "token").write_text("older")
        device.enroll(CODE).assert_failed(5, "exists already")
        self.assert_nothing_was_asked(device)
        assert (device.folder / "token").read_text() == "older"
        assert device.files() == {"token"}

    def test_a_folder_that_is_not_there_is_told(self, device: Device) -> None:
        more = ("--token-file", device.folder / "nowhere" / "token")
        with FaultServer(OK, tls=device.tls) as device.server:
            command = (*device.command(device.server.url(), CODE), *more)
            device.cli.run(*command).assert_failed(5, "nowhere")
        self.assert_nothing_was_asked(device)

    def test_a_disk_without_room_for_the_token_is_told(self, device: Device) -> None:
        with FaultServer(OK, tls=device.tls) as device.server:
            command = device.cli.command(*device.command(device.server.url(), CODE))
            ran = subprocess.run(
                ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *command],
                env=device.cli.whole_environment(),
                capture_output=True,
                timeout=60,
                check=False,
            )
        assert ran.returncode == 5, ran
        assert b"cannot write" in ran.stderr
        self.assert_nothing_was_asked(device)
        assert device.files() == set()

    def test_a_device_key_that_others_can_read_is_refused(self, device: Device) -> None:
        device.cli.run("device", "init", "-o", device.folder / "key")
        (device.folder / "key").chmod(0o644)
        device.enroll(CODE).assert_failed(4, "open to others")
        self.assert_nothing_was_asked(device)
        assert device.files() == {"key"}

    @pytest.mark.parametrize("way", [(), (CODE, "--code-file", "code")])
    def test_no_code_or_two_are_told(self, device: Device, way: tuple[str, ...]) -> None:
        device.enroll(*way).assert_failed(3, "code")
        self.assert_nothing_was_asked(device)

    @pytest.mark.parametrize("option", ["--token-file", "--device-key", "--key-service"])
    def test_an_option_that_is_missing_is_named(self, device: Device, option: str) -> None:
        command = [str(word) for word in device.command("https://localhost:1", CODE)]
        at = command.index(option)
        del command[at : at + 2]
        device.cli.run(*command).assert_failed(3, option if option != "--device-key" else "device key")
        assert device.files() == set()
