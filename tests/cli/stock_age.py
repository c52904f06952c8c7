"""Stock `age` with our plugin on its PATH, and our own commands run in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

import binary_split
from binary_split.archive.age import FragmentRecipient, Recipient, seal_age
from binary_split.cli.main import main
from binary_split.model import Fragment

SOURCE = Path(binary_split.__file__).parents[1]
PAYLOAD = b"images\n" * 50_000
KEY_ID = "fleet-7"
FRAGMENT = bytes(range(32))
OTHER = bytes(range(50, 82))
MINE = FragmentRecipient(KEY_ID, Fragment(FRAGMENT))


class Result(NamedTuple):
    """How a program ended."""

    returncode: int
    stdout: bytes
    stderr: str


@dataclass
class Shell:
    """Runs `age` and our commands in a folder of its own."""

    folder: Path
    age_program: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def age(self, *words: str | Path) -> Result:
        environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        command = [str(self.age_program), *map(str, words)]
        done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False, cwd="/")
        return Result(done.returncode, done.stdout, done.stderr.decode())

    def run(self, *words: str | Path) -> Result:
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.setattr(sys, "argv", ["binary-split", *map(str, words)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        assert isinstance(caught.value.code, int)
        out, err = self.capsys.readouterr()
        return Result(caught.value.code, out.encode(), err)

    def good(self, *words: str | Path) -> Result:
        result = self.run(*words)
        assert result.returncode == 0, result.stderr
        return result

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def seal(self, name: str, recipients: Sequence[Recipient], content: bytes = PAYLOAD) -> Path:
        path = self.folder / name
        with path.open("wb") as sink, seal_age(sink, recipients) as writer:
            writer.write(content)
        return path


def install_plugin(folder: Path) -> None:
    """Put the plugin's program into ``folder/bin``."""
    program = folder / "bin" / "age-plugin-binary-split"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={SOURCE} exec {sys.executable} -W error -m binary_split.cli.age_plugin "$@"\n'
    )
    program.chmod(0o755)
