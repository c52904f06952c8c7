"""The commands as processes, end to end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from binary_split.cli.main import main
from binary_split.errors import (
    ConfigError,
    KeyEncryptionKeyError,
    KeyStoreStateError,
    OutputError,
    RecordMissingError,
    SecretFileError,
)
from binary_split.service.tls import TlsFiles

pytestmark = pytest.mark.slow  # each test runs the program

PROGRAM = [sys.executable, "-c", "from binary_split.cli.main import main; main()"]


class Result(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """Runs commands on one state folder: in this process, through ``main``, unless said otherwise."""

    def __init__(
        self, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.state = state
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def run(self, *words: str | Path) -> Result:
        arguments = [*map(str, words), "--state", str(self.state)]
        self.monkeypatch.setattr(sys, "argv", ["binary-split", *arguments])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        assert isinstance(caught.value.code, int)
        return Result(caught.value.code, *self.capsys.readouterr())

    def spawn(self, *words: str | Path) -> Result:
        command = [*PROGRAM, *map(str, words), "--state", str(self.state)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def good(self, *words: str | Path) -> str:
        result = self.run(*words)
        assert result.returncode == 0, result.stderr
        return result.stdout

    @contextmanager
    def serving(self, *words: str | Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
        with subprocess.Popen(
            [*PROGRAM, "keyservice", "serve", "--port", "0", *map(str, words), "--state", str(self.state)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stderr
                line = process.stderr.readline()
                match = re.fullmatch(r"key service listening on (https?://127\.0\.0\.1:[1-9][0-9]*)\n", line)
                assert match, line
                yield match[1], process
            finally:
                process.terminate()
                process.wait(timeout=20)


@pytest.fixture
def shell(state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(state, monkeypatch, capsys)


def test_from_init_to_a_revoked_token(shell: Shell, tmp_path: Path, tls: TlsFiles) -> None:
    shell.state = tmp_path / "var" / "state"
    assert shell.spawn("keyservice", "init")[:2] == (0, "")
    assert shell.good("key", "create", "k1", "--out", tmp_path / "fragment") == ""
    fragment = (tmp_path / "fragment").read_bytes()
    assert len(fragment) == 32
    assert (tmp_path / "fragment").stat().st_mode & 0o777 == 0o600

    issued = shell.spawn("token", "issue", "--key", "k1", "--label", "bench 3")
    assert re.fullmatch(r"bsk_[A-Za-z0-9_-]{43}\n", issued.stdout)
    token = issued.stdout.strip()
    assert token not in issued.stderr
    listed = json.loads(shell.good("token", "list", "--json"))
    token_id = listed[0]["token_id"]
    assert token_id in issued.stderr
    assert listed[0]["label"] == "bench 3"
    assert listed[0]["state"] == "active"

    files = ("--tls-cert", tls.certificate, "--tls-key", tls.key)
    with shell.serving(*files) as (url, process), requests.Session() as client:
        client.verify = str(tls.certificate)
        client.trust_env = False
        client.headers["Authorization"] = f"Bearer {token}"
        assert url.startswith("https://")
        assert client.get(f"{url}/binary-split/key-fragment", timeout=10).content == fragment
        assert shell.spawn("token", "revoke", token_id)[:2] == (0, "")
        assert client.get(f"{url}/binary-split/key-fragment?x={token}", timeout=10).status_code == 403
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - asked < 8, "an idle TLS client held up the stop"
    assert process.returncode == 0, err
    assert out == ""
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    asked_for = [(line["path"], line["status"]) for line in lines if line["event"] == "request"]
    assert asked_for == [("/binary-split/key-fragment", 200), ("/binary-split/key-fragment", 403)]
    assert token not in err


def test_plain_http_is_served_on_loopback_and_refused_beyond(shell: Shell) -> None:
    with shell.serving() as (url, _process):
        assert url.startswith("http://")
        assert requests.get(f"{url}/readyz", timeout=10).status_code == 200
    refused = shell.run("keyservice", "serve", "--port", "0", "--host", "0.0.0.0")
    assert refused.returncode == ConfigError.exit_code
    assert "plain http" in refused.stderr


@pytest.mark.fault(55)
def test_a_wrong_key_encryption_key_stops_the_service_at_its_start(shell: Shell) -> None:
    (shell.state / "kek").write_bytes(bytes(32))
    result = shell.run("keyservice", "serve", "--port", "0")
    assert result.returncode == KeyEncryptionKeyError.exit_code
    assert "Traceback" not in result.stderr
    assert "listening" not in result.stderr


def test_init_twice_is_refused(shell: Shell) -> None:
    assert shell.run("keyservice", "init").returncode == KeyStoreStateError.exit_code


def test_no_file_is_overwritten_and_no_key_or_token_made_for_it(shell: Shell, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("precious")
    assert shell.run("key", "create", "k1", "--out", taken).returncode == OutputError.exit_code
    shell.good("key", "create", "k1")
    refused = shell.run("token", "issue", "--key", "k1", "--out", taken)
    assert refused.returncode == OutputError.exit_code
    assert refused.stdout == ""
    assert taken.read_text() == "precious"
    assert shell.good("token", "list") == ""


def test_a_token_is_written_to_a_file_and_shown_nowhere(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"imported\n")
    shell.good("key", "import", "k1", tmp_path / "f")
    result = shell.run("token", "issue", "--key", "k1", "--json", "--expires", "12h", "--out", tmp_path / "t")
    token = (tmp_path / "t").read_text()
    assert re.fullmatch(r"bsk_[A-Za-z0-9_-]{43}", token)
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o600
    assert token not in result.stdout + result.stderr
    document = json.loads(result.stdout)
    assert document["token_file"] == str(tmp_path / "t")
    assert document["key_id"] == "k1"


def test_mistakes_have_their_exit_codes(shell: Shell, tmp_path: Path) -> None:
    assert shell.run("key", "import", "k1", tmp_path / "none").returncode == SecretFileError.exit_code
    assert shell.run("token", "issue", "--key", "k1").returncode == RecordMissingError.exit_code
    assert shell.run("token", "issue", "--key", "k1", "--expires", "1w").returncode == ConfigError.exit_code
    result = shell.run("token", "revoke", "bsk_secret")
    assert result.returncode == RecordMissingError.exit_code
    assert "bsk_secret" not in result.stdout + result.stderr
