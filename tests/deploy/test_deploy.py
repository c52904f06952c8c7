"""What is shipped to run the key service with: checked by the programs that will read it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from binary_split.cli.keyservice import serve

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "binary-split-keyservice.service"
CONTAINER = ROOT / "deploy" / "Containerfile"
COMPOSE = ROOT / "deploy" / "compose.yaml"
Find = Callable[[str], Path]


def joined(path: Path) -> str:
    """Return a file with its continued lines put together."""
    return path.read_text().replace("\\\n", " ")


def understood(arguments: list[str]) -> dict[str, object]:
    """Return what `keyservice serve` makes of its arguments; it raises for one that it does not have."""
    return serve.make_context("serve", list(arguments), resilient_parsing=False).params


def test_systemd_finds_nothing_wrong_with_the_unit(program: Find, tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/binary-split/bin/binary-split", "/bin/true"))
    done = subprocess.run(
        [program("systemd-analyze"), "verify", copy], capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, ours) == (0, [])


def test_systemd_counts_the_service_as_little_exposed(program: Find) -> None:
    command: list[str | Path] = [
        program("systemd-analyze"),
        "security",
        "--offline=true",
        "--threshold=15",
        UNIT,
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


def test_the_container_has_stages_no_root_a_health_check_and_options_that_exist() -> None:
    text = joined(CONTAINER)
    assert len(re.findall(r"^FROM \$\{PYTHON\}", text, re.MULTILINE)) == 2
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert "--require-hashes" in text
    check = re.search(r"^HEALTHCHECK .*? CMD (\[.*\])$", text, re.MULTILINE)
    assert check
    compile(json.loads(check[1])[2], "HEALTHCHECK", "exec")
    command = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert command
    words = [word for word in json.loads(command[1]) if not word.startswith("/run/")]
    assert understood([word for word in words[1:] if not word.startswith("--tls")])["port"] == 8443


def test_compose_reads_its_file(program: Find) -> None:
    docker = program("docker")
    done = subprocess.run([docker, "compose", "version"], capture_output=True, timeout=30, check=False)
    if done.returncode:
        docker = program("docker-compose")
    command: list[str | Path] = [
        docker,
        *([] if docker.name == "docker-compose" else ["compose"]),
        "-f",
        COMPOSE,
        "config",
        "--quiet",
    ]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
