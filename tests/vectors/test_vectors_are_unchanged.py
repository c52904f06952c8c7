"""A vector that was edited proves nothing: each copy must be what its origin published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

SUMS = sorted(Path(__file__).parent.glob("*/SHA256SUMS"))


@pytest.mark.parametrize("sums", SUMS, ids=lambda path: path.parent.name)
def test_each_vector_has_its_published_digest(sums: Path) -> None:
    lines = (line.split(maxsplit=1) for line in sums.read_text().splitlines())
    listed = {name: digest for digest, name in lines}
    folder = sums.parent / "testdata"
    folder = folder if folder.exists() else sums.parent
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert {path.name for path in folder.glob("*.json")} <= listed.keys()


@pytest.mark.parametrize("sums", SUMS, ids=lambda path: path.parent.name)
def test_each_origin_names_its_licence(sums: Path) -> None:
    assert (sums.parent / "NOTICE").read_text().strip()
    assert (sums.parent / "README.md").exists()
