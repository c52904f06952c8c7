"""TAB in real shells, each on a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT

FOLDER = ROOT / "deploy" / "completions"
PROGRAMS = Path(sys.executable).parent
TIMEOUT_S = 20
FORGET_LINE = "\x15"
CASES = (
    ("binary-split unl", "unlock"),
    ("binary-split unlock --allow-dow", "--allow-downgrade"),
    ("binary-split unlock rel", "release-1.0.0.age"),
    ("binary-split unlock --token-file rel", "release-1.0.0.age"),
)
Find = Callable[[str], Path]

pytestmark = pytest.mark.slow  # the program is asked at each TAB


class Terminal:
    """A shell on a terminal."""

    def __init__(self, command: list[str | Path], folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        environment = {"HOME": str(folder), "TERM": "dumb", "PATH": f"{PROGRAMS}:/usr/bin:/bin", "PS1": "$ "}
        self._shell = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> None:
        """Wait until the terminal shows this."""
        shown, until = "", time.monotonic() + TIMEOUT_S
        while text not in shown:
            ready, _, _ = select.select([self._ours], [], [], max(0.0, until - time.monotonic()))
            assert ready, shown
            shown += os.read(self._ours, 65536).decode(errors="replace")

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait(timeout=TIMEOUT_S)
        os.close(self._ours)


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, program: Find, tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "release-1.0.0.age").touch()
    if request.param == "bash":
        command: list[str | Path] = [program("bash"), "--norc", "--noprofile", "-i"]
        setting_up = f"source {FOLDER}/bash/binary-split"
    else:
        command = [program("zsh"), "-f", "-i"]
        setting_up = f"fpath=({FOLDER}/zsh $fpath); autoload -Uz compinit; compinit -u -D"
    shell = Terminal(command, tmp_path)
    try:
        shell.type(f"{setting_up}; echo set''up\n")
        shell.wait_for("setup\r")
        yield shell
    finally:
        shell.close()


def test_tab_completes_commands_options_and_files(terminal: Terminal) -> None:
    for typed, completed in CASES:
        terminal.type(f"{typed}\t")
        terminal.wait_for(f"{completed} ")
        terminal.type(FORGET_LINE)


def test_fish_completes_commands_options_and_files(program: Find, tmp_path: Path) -> None:
    (tmp_path / "release-1.0.0.age").touch()
    source = f"source {FOLDER}/fish/binary-split.fish; complete -C "
    for typed, completed in CASES:
        done = subprocess.run(
            [program("fish"), "--no-config", "-c", f"{source}'{typed}'"],
            cwd=tmp_path,
            env={"HOME": str(tmp_path), "PATH": f"{PROGRAMS}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == [completed]
