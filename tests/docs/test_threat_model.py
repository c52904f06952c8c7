"""The threat model's promises have the tests that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| (.+?) \| `(tests/[^`]+\.py)::(test_\w+)` \|$", PAGE, re.MULTILINE)


def test_every_attack_names_a_test() -> None:
    section = PAGE.partition("## Attack, promise, test")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]

    assert len(rows) - 2 * rows.count("| attack | promise | test |") == len(ROWS) > 40


@pytest.mark.parametrize(("file", "name"), [row[2:] for row in ROWS], ids=[row[3] for row in ROWS])
def test_the_test_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))

    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
