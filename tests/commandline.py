"""The program ``binary-split`` as a person or a script runs it: a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.running import at_most_as_long

_PROGRAM = "import sys; sys.argv[0] = 'binary-split'; from binary_split.cli.main import main; main()"
_FOREIGN = ("BINARY_SPLIT_", "DOCKER_", "CONTAINER_", "PYTEST_", "PYTHON", "FORCE_COLOR", "NO_COLOR")


@dataclass(frozen=True)
class Ran:
    """What a run came to."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        lines = self.stdout.splitlines()
        assert len(lines) == 1, self
        return json.loads(lines[0])

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of stdout, each of which must be a JSON object."""
        rows = [json.loads(line) for line in self.stdout.splitlines()]
        assert all(isinstance(row, dict) for row in rows), self
        return rows

    def assert_failed(self, status: int, *words: str) -> None:
        """Check the exit code, and that stderr is an error with these words, a hint, and no traceback."""
        assert self.status == status, self
        assert "error: " in self.stderr, self
        assert "hint: " in self.stderr, self
        assert "Traceback" not in self.stderr, self
        for word in words:
            assert word in self.stderr, self


@dataclass(frozen=True)
class CommandLine:
    """Runs the program in an environment with nobody's settings but ``environment``.

    Attributes:
        home: the user's folder; its ``tmp`` is where temporary files would go.
        within: a command that runs it, as ``nsenter`` does.
    """

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    within: Sequence[str] = ()

    @property
    def temporary(self) -> Path:
        return self.home / "tmp"

    def with_environment(self, **more: str) -> CommandLine:
        return replace(self, environment={**self.environment, **more})

    def run(self, *arguments: object, stdin: bytes = b"", timeout_s: float = 90) -> Ran:
        """Run the program to its end."""
        ran = subprocess.run(
            self.command(*arguments),
            env=self.whole_environment(),
            cwd=self.home,
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout.decode(errors="replace"), ran.stderr.decode(errors="replace"))

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        """Start the program and let it run."""
        pipes: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        process: subprocess.Popen[bytes] = subprocess.Popen(
            self.command(*arguments), env=self.whole_environment(), cwd=self.home, **(pipes | options)
        )
        return process

    @contextlib.contextmanager
    def running(self, *arguments: object, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Run the program beside the test; it is killed if it is still there at the end."""
        with at_most_as_long(self.start(*arguments, **options)) as process:
            yield process

    def command(self, *arguments: object) -> list[str]:
        return [*self.within, sys.executable, "-c", _PROGRAM, *map(str, arguments)]

    def whole_environment(self) -> dict[str, str]:
        self.temporary.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        own = {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "BINARY_SPLIT_STATE": str(self.home / "state"),
            "COLUMNS": "120",
            "TERM": "xterm",
        }
        source = os.pathsep.join(path for path in sys.path if path)
        return {**kept, **own, "PYTHONPATH": source, **self.environment}


class Watch:
    """Reads the arguments and environments of a process's descendants while it runs."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.arguments: set[bytes] = set()
        self.environments: set[bytes] = set()

    def look(self) -> None:
        for pid in self._family():
            with contextlib.suppress(OSError):
                folder = Path(f"/proc/{pid}")
                self.arguments.add((folder / "cmdline").read_bytes())
                if pid != self._pid:
                    self.environments.add((folder / "environ").read_bytes())

    def _family(self) -> set[int]:
        found, fresh = {self._pid}, {self._pid}
        while fresh:
            fresh = {child for pid in fresh for child in _children(pid)} - found
            found |= fresh
        return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return children
