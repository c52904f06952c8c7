"""What is shipped to run the services with: checked by the programs that will read it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from binary_split.agent.settings import parse_agent_settings
from binary_split.cli.agent import serve as serve_agent
from binary_split.cli.keyservice import serve
from binary_split.config import load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "binary-split-keyservice.service"
AGENT_UNIT = DEPLOY / "binary-split-agent.service"
CONTAINER = DEPLOY / "Containerfile"
AGENT_CONTAINER = DEPLOY / "Containerfile.agent"
COMPOSE = DEPLOY / "compose.yaml"
AGENT_COMPOSE = DEPLOY / "compose.agent.yaml"
Find = Callable[[str], Path]

every_unit = pytest.mark.parametrize("unit", [UNIT, AGENT_UNIT], ids=["keyservice", "agent"])
every_container = pytest.mark.parametrize(
    ("container", "command"),
    [(CONTAINER, serve), (AGENT_CONTAINER, serve_agent)],
    ids=["keyservice", "agent"],
)


def joined(path: Path) -> str:
    """Return a file with its continued lines put together."""
    return path.read_text().replace("\\\n", " ")


def understood(arguments: list[str], command: click.Command = serve) -> dict[str, object]:
    """Return what `serve` makes of its arguments; it raises for one that it does not have."""
    return command.make_context("serve", list(arguments), resilient_parsing=False).params


@every_unit
def test_systemd_finds_nothing_wrong_with_the_unit(program: Find, tmp_path: Path, unit: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/binary-split/bin/binary-split", "/bin/true"))
    done = subprocess.run(
        [program("systemd-analyze"), "verify", copy], capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, ours) == (0, [])


@every_unit
def test_systemd_counts_the_service_as_little_exposed(program: Find, unit: Path) -> None:
    command: list[str | Path] = [
        program("systemd-analyze"),
        "security",
        "--offline=true",
        "--threshold=16",
        unit,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def test_the_unit_starts_the_program_with_options_that_it_has(tmp_path: Path) -> None:
    line = re.search(r"^ExecStart=(.*)$", joined(UNIT), re.MULTILINE)
    assert line
    for name in ("tls-cert", "tls-key"):
        (tmp_path / name).touch()
    words = shlex.split(line[1].replace("${CREDENTIALS_DIRECTORY}", str(tmp_path)))
    assert words[1:3] == ["keyservice", "serve"]
    found = understood([*words[3:], "--state", str(tmp_path)])
    assert (found["host"], found["port"], found["metrics"]) == ("0.0.0.0", 8443, "127.0.0.1:9464")


def test_the_unit_gives_every_secret_as_a_credential() -> None:
    names = re.findall(r"^LoadCredential=([^:]+):", UNIT.read_text(), re.MULTILINE)
    assert sorted(names) == ["audit-key", "kek", "tls-cert", "tls-key"]


def test_the_agents_unit_starts_it_on_a_socket_that_its_group_may_use() -> None:
    text = joined(AGENT_UNIT)
    line = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert line
    words = shlex.split(line[1])
    assert words[1:3] == ["agent", "serve"]
    unix = understood(words[3:], serve_agent)["unix"]
    assert str(unix) == "/run/binary-split/agent.sock"
    assert re.search(r"^RuntimeDirectory=binary-split$", text, re.MULTILINE)
    assert re.search(r"^RuntimeDirectoryMode=0750$", text, re.MULTILINE)


def test_the_agents_unit_gives_its_token_as_a_credential() -> None:
    text = AGENT_UNIT.read_text()
    assert re.findall(r"^LoadCredential=([^:]+):", text, re.MULTILINE) == ["token"]
    assert re.search(r"^Environment=BINARY_SPLIT_TOKEN_FILE=%d/token$", text, re.MULTILINE)


def test_the_agents_example_settings_are_settings() -> None:
    path = DEPLOY / "agent.toml"
    agent = parse_agent_settings(load_settings({"BINARY_SPLIT_CONFIG": str(path)}).agent)
    assert list(agent.archives) == list(tomllib.loads(path.read_text())["agent"]["archives"])
    assert set(agent.autostart) == set(agent.archives)


@every_container
def test_the_container_has_stages_no_root_a_health_check_and_options_that_exist(
    container: Path, command: click.Command
) -> None:
    text = joined(container)
    assert re.search(r"^ARG PYTHON=\S+:\d+\.\d+-slim-\w+$", text, re.MULTILINE)  # a version, not "latest"
    assert len(re.findall(r"^FROM \$\{PYTHON\}", text, re.MULTILINE)) == 2
    assert re.search(r"^USER (1000[12]):\1$", text, re.MULTILINE)
    assert "--require-hashes" in text
    check = re.search(r"^HEALTHCHECK .*? CMD (\[.*\])$", text, re.MULTILINE)
    assert check
    compile(json.loads(check[1])[2], "HEALTHCHECK", "exec")
    found = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert found
    words = [word for word in json.loads(found[1]) if not word.startswith("/run/")]
    options = [word for word in words[1:] if word not in {"--tls-cert", "--tls-key", "--token-file"}]
    port = re.search(r"^EXPOSE (\d+)", text, re.MULTILINE)
    assert port
    assert understood(options, command)["port"] == int(port[1])


@pytest.mark.parametrize("compose", [COMPOSE, AGENT_COMPOSE], ids=["keyservice", "agent"])
def test_compose_reads_its_file(program: Find, monkeypatch: pytest.MonkeyPatch, compose: Path) -> None:
    monkeypatch.setenv("DOCKER_GROUP", "999")
    docker = program("docker")
    done = subprocess.run([docker, "compose", "version"], capture_output=True, timeout=30, check=False)
    if done.returncode:
        docker = program("docker-compose")
    command: list[str | Path] = [
        docker,
        *([] if docker.name == "docker-compose" else ["compose"]),
        "-f",
        compose,
        "config",
        "--quiet",
    ]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
