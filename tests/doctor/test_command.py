"""What a person, a pipe and a program read of the doctor."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from binary_split.doctor.running import CHECKS
from tests.commandline import CommandLine
from tests.docs.test_json import assert_is_as_documented
from tests.releases import AgeRelease
from tests.test_end_to_end import KeyService

pytestmark = pytest.mark.slow
SECRET = "bsk_" + "s" * 43


@pytest.fixture
def device(cli: CommandLine) -> CommandLine:
    """A device whose engine is a folder."""
    return cli.with_environment(BINARY_SPLIT_ENGINE=f"oci:{cli.home / 'engine'}")


def read_terminal(device: CommandLine, *arguments: object, **environment: str) -> str:
    """Run the program on a terminal of 80 columns and return what it wrote there."""
    ours, theirs = pty.openpty()
    told = device.with_environment(COLUMNS="80", **environment)
    with subprocess.Popen(
        told.command(*arguments), env=told.whole_environment(), cwd=told.home, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:  # how a terminal ends
            pass
        process.wait(30)
    os.close(ours)
    return written.decode(errors="replace").replace("\r\n", "\n")


def test_a_healthy_machine_exits_with_0(
    device: CommandLine, release: AgeRelease, publisher: Path, key_service: KeyService, token_file: Path
) -> None:
    where = ("--key-service", key_service.url, "--ca-file", key_service.ca_file, "--token-file", token_file)
    ran = device.run("doctor", release.path, "--trusted-key", publisher, *where, "--release", "--json")
    assert ran.status == 0, ran
    assert ran.document["healthy"] is True
    verdicts = {row["name"]: row["verdict"] for row in ran.document["checks"]}
    assert verdicts.pop("key-service-certificate") == "warning"  # the bed's is for ten days
    assert verdicts.pop("device-key") == "skipped"
    assert set(verdicts.values()) == {"ok"}, ran.document
    assert token_file.read_text().strip() not in ran.stdout + ran.stderr
    assert not (device.home / "state").exists()
    assert not (device.home / "engine").exists()


def test_the_document_is_as_documented_also_when_checks_failed(device: CommandLine) -> None:
    ran = device.run("doctor", "nowhere.age", "--json")
    assert ran.status == 90
    assert_is_as_documented(ran.document, "doctor")
    assert ran.document["healthy"] is False
    assert [row["name"] for row in ran.document["checks"]] == list(CHECKS)
    assert "1 of 16 checks failed: archive" in ran.stderr


def test_a_pipe_gets_plain_lines(device: CommandLine) -> None:
    ran = device.run("doctor", "nowhere.age")
    ran.assert_failed(90, "of 16 checks failed")
    lines = [line for line in ran.stdout.splitlines() if not line.startswith(" ")]
    assert [line.split()[1] for line in lines] == list(CHECKS)
    assert re.search(r"^failed   archive +cannot read the archive nowhere\.age", ran.stdout, re.MULTILINE)
    assert re.search(r"^ +cure: Check the path and the medium that it is on\.$", ran.stdout, re.MULTILINE)
    assert "\x1b" not in ran.stdout
    assert ran.stdout.isascii()


def test_a_terminal_gets_signs_words_and_lines_that_fit(device: CommandLine) -> None:
    shown = read_terminal(device, "doctor", "nowhere.age", LANG="C.UTF-8", PYTHONIOENCODING="utf-8")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "\x1b[32m" in shown
    assert re.search(r"^✓ ok {6} software", plain, re.MULTILINE)
    assert re.search(r"^✗ failed   archive", plain, re.MULTILINE)
    table = plain.partition("error: ")[0]
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colours_gets_none(device: CommandLine, name: str, value: str) -> None:
    coloured = {"TERM": "xterm", "NO_COLOR": ""}
    assert "\x1b[31m" in read_terminal(device, "doctor", "nowhere.age", **coloured)
    assert "\x1b" not in read_terminal(device, "doctor", "nowhere.age", **{**coloured, name: value})


def test_a_terminal_without_these_signs_gets_others(device: CommandLine) -> None:
    shown = read_terminal(device, "doctor", "nowhere.age", PYTHONIOENCODING="ascii", NO_COLOR="1")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert re.search(r"^\+ ok {6} software", plain, re.MULTILINE)
    assert re.search(r"^x failed   archive", plain, re.MULTILINE)


def test_a_token_may_come_from_stdin(device: CommandLine) -> None:
    ran = device.run("doctor", "--token-file", "-", "--json", stdin=f"{SECRET}\n".encode())
    (token,) = [row for row in ran.document["checks"] if row["name"] == "token"]
    assert token["detail"].startswith("it can be read and has a token's form")
    assert SECRET not in ran.stdout + ran.stderr


@pytest.mark.parametrize("where", ["BINARY_SPLIT_TOKEN", "BINARY_SPLIT_TOKEN_FILE"])
def test_no_secret_is_ever_shown(device: CommandLine, where: str) -> None:
    (device.home / "secret").write_text(f"{SECRET} and more")
    value = SECRET if where == "BINARY_SPLIT_TOKEN" else str(device.home / "secret")
    told = device.with_environment(**{where: value}, BINARY_SPLIT_KEY_SERVICE=f"https://u:{SECRET}@x/")
    for more in ((), ("--json",)):
        ran = told.run("doctor", *more)
        assert ran.status == 90
        assert SECRET not in ran.stdout + ran.stderr


@pytest.mark.parametrize("text", ["nonsense = 1", '[image_ids]\n"nonsense" = "sha256:00"'])
def test_settings_that_cannot_be_read_stop_nothing(device: CommandLine, text: str) -> None:
    (device.home / "x.toml").write_text(text)
    told = device.with_environment(BINARY_SPLIT_CONFIG=str(device.home / "x.toml"))
    rows = {row["name"]: row for row in told.run("doctor", "--json").document["checks"]}
    assert rows["settings"]["verdict"] == "failed"
    assert rows["settings"]["cure"]
    assert rows["self-test"]["verdict"] == "ok"


def test_foreign_words_do_not_steer_a_terminal(device: CommandLine) -> None:
    ran = device.run("doctor", "no\x1b[2Jwhere.age")
    assert "\x1b" not in ran.stdout
    assert "\\x1b[2Jwhere.age" in ran.stdout


def test_the_help_says_what_it_does_and_does_not(device: CommandLine) -> None:
    ran = device.run("doctor", "--help")
    assert ran.status == 0
    for words in ("[ARCHIVE]", "--release", "exit code is 0", "90"):
        assert words in ran.stdout
