"""The fenced blocks of the pages, and the commands in them.

A ``sh`` block is run command by command, as whoever copies it would. A ``text`` block right after it is what
it prints: ``…`` stands for any text, and on a line of its own for any lines. A comment ``# exit code N`` says
that the command ends so; without one it ends with 0. What serves runs beside the others until the page is
through.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FENCE = re.compile(r"^( *)```(.*)$")
_EXIT_CODE = re.compile(r"#[^#\n]*\bexit code (\d+)")
_SERVES = re.compile(r"\bbinary-split (?:keyservice|agent) serve\b")


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
    """Return what an output must match to be the one that is shown, whatever the width of its columns."""
    lines = []
    for line in shown.splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            text = r"[^\n]*".join(map(re.escape, line.rstrip().split("…")))
            lines.append(re.sub(r"(?:\\ ){2,}", "(?: {2,})", text) + r"[ \t]*\n")
    return re.compile("".join(lines))
