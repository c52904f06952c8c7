"""The program ``binary-split agent serve``: where it listens, whom it lets in, how it ends."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bed.certs import make_authority, make_leaf
from binary_split.agent.settings import parse_agent_settings
from binary_split.transports import HttpLocation
from binary_split.transports.options import HttpOptions
from tests.agent.clients import Client
from tests.agent.places import AGENT_TOKEN, Place
from tests.commandline import CommandLine
from tests.running import CLI, run_python

pytestmark = pytest.mark.slow


@pytest.fixture
def configured(place: Place, cli: CommandLine) -> CommandLine:
    return cli.with_environment(BINARY_SPLIT_CONFIG=str(place.write_config()))


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "agent-token"
    path.touch(mode=0o600)
    path.write_text(f"{AGENT_TOKEN}\n")
    return path


@contextmanager
def serving(cli: CommandLine, *options: object) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with cli.start("agent", "serve", "--port", "0", *options) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline().decode()
            assert line.startswith("agent listening on "), line + process.stderr.read().decode()
            yield process, line.split()[-1]
        finally:
            process.kill()


def test_on_loopback_its_token_opens_it_and_the_log_has_no_secret(
    configured: CommandLine, token_file: Path, place: Place
) -> None:
    with serving(configured, "--token-file", token_file) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        assert Client(url).ask("GET", "/unlock/status").status == 401
        agent = Client(url, AGENT_TOKEN)
        agent.unlock(token=place.token)
        assert agent.wait()["state"] == "ready"
        process.terminate()
        assert process.stderr is not None
        log = process.stderr.read().decode()
        assert process.wait(20) == 0
    lines = [json.loads(line) for line in log.splitlines()]
    asked = [(line["path"], line["status"]) for line in lines if line["event"] == "request"]
    assert asked == [("/unlock/status", 401), ("/unlock", 202)]  # a status that is answered is no news
    for secret in (AGENT_TOKEN, place.token):
        assert secret not in log


def test_over_tls_a_certificate_of_the_authority_opens_it_and_none_does_not(
    configured: CommandLine, tmp_path: Path
) -> None:
    authority, other = make_authority(), make_authority("Other CA")
    server, client, stranger = make_leaf(authority), make_leaf(authority), make_leaf(other)
    ca = authority.write_certificate(tmp_path / "ca.pem")
    options: list[object] = ["--client-ca", ca]
    for name, identity in (("server", server), ("client", client), ("stranger", stranger)):
        identity.write_certificate(tmp_path / f"{name}.pem")
        (tmp_path / f"{name}.key").write_bytes(identity.key_pem)
    options += ["--tls-cert", tmp_path / "server.pem", "--tls-key", tmp_path / "server.key"]
    with serving(configured, *options) as (_process, url):

        def status(name: str) -> int:
            context = ssl.create_default_context(cafile=str(ca))
            if name:
                context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
            return Client(url, context=context).ask("GET", "/unlock/status").status

        assert url.startswith("https://")
        assert status("client") == 200
        for name in ("", "stranger"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                status(name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "nobody could come in"),
        (["--host", "0.0.0.0", "--token-file", "{token}"], "plain http"),
        (["--unix", "a.sock", "--port", "1"], "--unix stands alone"),
        (["--client-ca", "{token}"], "--client-ca needs"),
        (["--token-file", "{short}"], "shorter than 16"),
    ],
    ids=["nobody", "plain", "both", "ca", "short"],
)
def test_what_makes_no_sense_or_lets_anybody_in_is_refused(
    configured: CommandLine, token_file: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    short = tmp_path / "short"
    short.touch(mode=0o600)
    short.write_text("secret")
    filled = [option.format(token=token_file, short=short) for option in options]
    configured.run("agent", "serve", *filled, timeout_s=20).assert_failed(3, words)


def test_a_token_file_that_others_may_read_is_refused(configured: CommandLine, token_file: Path) -> None:
    token_file.chmod(0o644)
    ran = configured.run("agent", "serve", "--token-file", token_file, timeout_s=20)
    ran.assert_failed(4, "open to others")
    assert AGENT_TOKEN not in ran.stderr


def test_a_state_folder_has_one_agent(place: Place, cli: CommandLine) -> None:
    with place.agent_started(cli) as (_process, _agent):
        second = cli.with_environment(BINARY_SPLIT_CONFIG=str(place.write_config()))
        ran = second.run("agent", "serve", "--unix", place.folder / "second.sock", timeout_s=20)
        ran.assert_failed(3, "another agent uses")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("surprise = 1", "no such setting: surprise"),
        ('default = "none"', "names none of"),
        ("resume = 1", "must be true or false"),
        ('archives = {"A B" = "x"}', "not a name of an archive"),
        ('archives = {a = {version = "1"}}', "has no path"),
        ('archives = {a = {path = "x", version = "/"}}', "version is none"),
        (
            'archives = {a = {path = "x", insecure_http = 1}}',
            r"[agent.archives.a] insecure_http must be true",
        ),
    ],
)
def test_a_wrong_table_is_refused_and_named(cli: CommandLine, tmp_path: Path, line: str, words: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[agent]\n{line}\n")
    configured = cli.with_environment(BINARY_SPLIT_CONFIG=str(config))
    configured.run("agent", "serve", "--unix", tmp_path / "s", timeout_s=20).assert_failed(3, words)


def test_an_archive_says_of_its_server_what_differs_from_all_others() -> None:
    near = {"path": "https://b.example/1.age", "ca_file": "b.pem", "insecure_http": True}
    options = HttpOptions(ca_file=Path("site.pem"), proxy="http://proxy:3128")
    agent = parse_agent_settings({"archives": {"far": "https://a.example/1.age", "near": near}}, options)
    places = [agent.choose(name).path for name in ("far", "near")]
    assert all(isinstance(place, HttpLocation) for place in places)
    said = [place.options for place in places if isinstance(place, HttpLocation)]
    assert [(each.ca_file, each.proxy, each.insecure_http) for each in said] == [
        (Path("site.pem"), "http://proxy:3128", False),
        (Path("b.pem"), "http://proxy:3128", True),
    ]


def test_prometheus_is_told_of_unlocks_on_an_address_of_its_own(place: Place, cli: CommandLine) -> None:
    port = _free_port()
    with place.agent_started(cli, "--metrics", f"127.0.0.1:{port}") as (_process, agent):
        agent.unlock()
        assert agent.wait()["state"] == "ready"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            figures = answer.read().decode()
    assert 'binary_split_unlocks_total{outcome="ready"} 1.0' in figures
    assert "binary_split_ready 1.0" in figures
    assert "binary_split_unlock_running 0.0" in figures


def test_a_state_file_that_is_damaged_is_worth_no_more_than_none(place: Place, cli: CommandLine) -> None:
    with place.agent_running() as agent:
        agent.unlock()
        assert agent.wait()["state"] == "ready"
    file = place.state / "agent" / "state.json"
    assert json.loads(file.read_text())["archive"] == "stick"
    for content in (b"", b"{", b"[]", b'{"reserved": "1"}', b"\xff" * 100, b"[" * 100_000):
        file.write_bytes(content)
        with place.agent_running() as agent:
            assert agent.wait()["state"] == "ready"  # the engine says so


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(("command", "extra"), [("agent", "agent"), ("keyservice", "keyservice")])
def test_a_missing_library_is_said_with_the_extra_that_brings_it(command: str, extra: str) -> None:
    code = f"import sys; sys.modules['fastapi'] = None; {CLI}"
    done = run_python(code, command, "serve", "--port", "0")
    assert done.returncode == 3
    assert f"pip install 'binary-split[{extra}]'" in done.stderr.decode()
    assert b"Traceback" not in done.stderr
