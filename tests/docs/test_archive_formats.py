"""What the format page tells a stranger to type does open our archives."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from binary_split.archive.cbc import CbcWriter
from binary_split.model import Fragment

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "archive-formats.md"


@pytest.mark.parametrize("size", [0, 1, 16, 100_003])
def test_the_openssl_recipe_opens_a_cbc_archive(
    tmp_path: Path, program: Callable[[str], Path], size: int
) -> None:
    program("openssl")
    plaintext, fragment = os.urandom(size), os.urandom(31) + b"\n"
    (tmp_path / "fragment.bin").write_bytes(fragment)
    with (tmp_path / "release.cbc").open("wb") as sink:
        writer = CbcWriter(sink, Fragment(fragment))
        writer.write(plaintext)
        writer.finish()
    recipe = re.search(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert recipe
    subprocess.run(["sh", "-euc", recipe[1]], cwd=tmp_path, check=True)
    assert (tmp_path / "release.tar").read_bytes() == plaintext
