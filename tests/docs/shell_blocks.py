"""The fenced blocks of the pages, and a shell that does what they say.

A ``sh`` block is run command by command, as whoever copies it would. A ``text`` block right after it is what
it prints: ``…`` stands for any text, and on a line of its own for any lines. A comment ``# exit code N`` says
that the command ends so; without one it ends with 0. What serves runs beside the others until the page is
through.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_FENCE = re.compile(r"^( *)```(.*)$")
_EXIT_CODE = re.compile(r"#[^#\n]*\bexit code (\d+)")
_SERVES = re.compile(r"\bbinary-split (?:keyservice|agent) serve\b")
_COMMAND_TIMEOUT_S = 60
_START_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences of a page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it is, as an editor takes it."""
        return f"{self.page}:{self.line}"

    @property
    def first_line(self) -> str:
        """What names the block while lines move."""
        return self.text.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and what it is to end with."""

    command: str
    status: int = 0

    @property
    def is_service(self) -> bool:
        """Whether it runs until it is stopped."""
        return _SERVES.search(self.command) is not None


def read_blocks(root: Path, page: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    blocks: list[Block] = []
    start, language, lines = 0, "", list[str]()
    for number, line in enumerate((root / page).read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and not start:
            start, language, lines = number, fence[2].strip(), []
        elif fence:
            blocks.append(Block(page, start, language, "\n".join(lines)))
            start = 0
        elif start:
            lines.append(line)
    assert not start, f"{page}:{start} is not closed"
    return blocks


@cache
def parse_steps(text: str) -> tuple[Step, ...]:
    """Return the commands of a block: as many lines as it takes until bash has a whole one."""
    return tuple(_split(text))


def _split(text: str) -> Iterator[Step]:
    pending: list[str] = []
    for line in text.splitlines():
        pending.append(line)
        command = "\n".join(pending)
        if not command.strip() or (command.lstrip().startswith("#") and "\n" not in command.strip()):
            pending = []
        elif _is_whole(command):
            ends = _EXIT_CODE.search(command)
            yield Step(command, int(ends[1]) if ends else 0)
            pending = []
    assert not pending, f"bash waits for the end of: {pending}"


def _is_whole(command: str) -> bool:
    if command.endswith("\\"):
        return False
    asked = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True, check=False)
    return asked.returncode == 0 and not asked.stderr  # an open here-document is a warning


def pattern_of(shown: str) -> re.Pattern[str]:
    """Return what an output must match to be the one that is shown."""
    lines = []
    for line in shown.splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(r"[^\n]*".join(map(re.escape, line.rstrip().split("…"))) + r"[ \t]*\n")
    return re.compile("".join(lines))


@dataclass
class Shell:
    """Runs commands one after the other in a folder: what one exports or where it goes holds for the next.

    Attributes:
        folder: everything is below it; commands start in its ``here``.
        environment: the whole of it.
        substitutions: what stands in a page, and what is there instead.
        engines: the ``DOCKER_HOST`` of commands that match; others have the environment's.
    """

    folder: Path
    environment: Mapping[str, str]
    substitutions: Mapping[str, str]
    engines: Mapping[str, str] = field(default_factory=dict)
    _services: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open a new terminal, in the folder where the last one was."""
        (self.folder / "here").mkdir(parents=True, exist_ok=True)
        if not self._cwd.exists():
            self._cwd.write_text(str(self.folder / "here"))
        (self.folder / ".exported").unlink(missing_ok=True)

    def substitute(self, text: str) -> str:
        """Return a page's text as it is here."""
        for shown, real in self.substitutions.items():
            text = text.replace(shown, real)
        return text

    def run(self, step: Step) -> str:
        """Run a command and return what it printed, both streams as a terminal has them."""
        script = self._script(self.substitute(step.command))
        if step.is_service:
            return self._serve(script)
        ran = subprocess.run(
            ["bash", "-c", script],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
        output = ran.stdout.decode(errors="replace")
        assert ran.returncode == step.status, f"{step.command}\nended with {ran.returncode}:\n{output}"
        return output

    def close(self) -> None:
        """End what serves; it must end well."""
        services, self._services = self._services, []
        for service in services:
            os.killpg(service.pid, signal.SIGTERM)
        for service in services:
            assert service.wait(_START_TIMEOUT_S) == 0

    @property
    def _cwd(self) -> Path:
        return self.folder / ".cwd"

    def _script(self, command: str) -> str:
        state = self.folder / ".exported"
        keep = f"s=$?; pwd >{self._cwd}; export -p >{state}; exit $s"
        lines = [
            "set -aeo pipefail",
            f"[ ! -f {state} ] || . {state}",
            f"DOCKER_HOST={self._engine_of(command)}",
            f'cd "$(cat {self._cwd})"',
            f"trap '{keep}' EXIT",
            command,
        ]
        return "\n".join(lines) + "\n"

    def _engine_of(self, command: str) -> str:
        hosts = [host for pattern, host in self.engines.items() if re.search(pattern, command)]
        return hosts[0] if hosts else self.environment["DOCKER_HOST"]

    def _serve(self, script: str) -> str:
        log = self.folder / f".service-{len(self._services)}"
        with log.open("wb") as file:
            service = subprocess.Popen(
                ["bash", "-c", script.replace("trap ", "# trap ")],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._services.append(service)
        until = time.monotonic() + _START_TIMEOUT_S
        while "listening on" not in (text := log.read_text()):
            assert service.poll() is None, text
            assert time.monotonic() < until, text
            time.sleep(0.02)
        return text
