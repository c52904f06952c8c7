"""A shell that does what a page says, as a terminal would."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bed import processes
from tests.docs.shell_blocks import Step

_COMMAND_TIMEOUT_S = 60
_START_TIMEOUT_S = 30


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
        self._exported.unlink(missing_ok=True)

    def substitute(self, text: str) -> str:
        """Return a page's text as it is here."""
        for shown, real in self.substitutions.items():
            text = text.replace(shown, real)
        return text

    def run(self, step: Step) -> str:
        """Run a command and return what it printed, both streams as a terminal has them."""
        command = self.substitute(step.command)
        if step.is_service:
            return self._serve(command)
        script = self._script(command, f"trap '{self._keep}' EXIT")
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
            service.terminate()
        for service in services:
            assert service.wait(_START_TIMEOUT_S) == 0

    @property
    def _cwd(self) -> Path:
        return self.folder / ".cwd"

    @property
    def _exported(self) -> Path:
        return self.folder / ".exported"

    @property
    def _keep(self) -> str:
        return f"s=$?; pwd >{self._cwd}; export -p >{self._exported}; exit $s"

    def _script(self, command: str, at_the_end: str = "") -> str:
        lines = [
            "set -aeo pipefail",
            f"[ ! -f {self._exported} ] || . {self._exported}",
            f"DOCKER_HOST={self._engine_of(command)}",
            f'cd "$(cat {self._cwd})"',
            at_the_end,
            command,
        ]
        return "\n".join(lines) + "\n"

    def _engine_of(self, command: str) -> str:
        hosts = [host for pattern, host in self.engines.items() if re.search(pattern, command)]
        return hosts[0] if hosts else self.environment["DOCKER_HOST"]

    def _serve(self, command: str) -> str:
        script = self._script(command.replace("binary-split ", "exec binary-split ", 1))
        log = self.folder / f".service-{len(self._services)}"
        with log.open("wb") as file:
            service = subprocess.Popen(
                [*processes.ending_with_parent(), "bash", "-c", script],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self._services.append(service)
        until = time.monotonic() + _START_TIMEOUT_S
        while "listening on" not in (text := log.read_text()):
            assert service.poll() is None, text
            assert time.monotonic() < until, text
            time.sleep(0.02)
        return text
