"""What the page on the release statement tells a stranger is what the program does."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from binary_split.oci.signature import sign_statement
from binary_split.oci.statement import ReleaseStatement
from tests.oci.statements import STATEMENT, private_key

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "release-statement.md").read_text(encoding="utf-8")


def block(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```[a-z]+\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_the_example_is_a_statement() -> None:
    document = json.loads(block("A test reads this example."))
    content = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    assert ReleaseStatement.parse(content).images[0].ref.name == "azaion/flights"


def test_the_openssl_recipe_verifies_a_statement(tmp_path: Path, program: Callable[[str], Path]) -> None:
    program("openssl")
    recipe, content, key = block("A test runs these lines."), STATEMENT.serialise(), private_key(1)
    (tmp_path / "release.json").write_bytes(sign_statement(content, key))
    (tmp_path / "vendor.pem").write_bytes(key.public_key.serialise())
    command = ["sh", "-euc", recipe]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "statement.json").read_bytes() == content
    (tmp_path / "vendor.pem").write_bytes(private_key(2).public_key.serialise())
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode != 0
