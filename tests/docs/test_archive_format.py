"""The page on the `age` archive is true of an archive: its lines, its examples and its header."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/archive-format.md").read_text(encoding="utf-8")
VECTORS = ROOT / "tests/vectors/archive-v1"


def read_members(tar: bytes) -> Iterator[tuple[bytes, str, bytes]]:
    """Read header, name and content as the page says; what is left must be the end."""
    at = 0
    while tar[at]:
        header = tar[at : at + 512]
        size = int(header[124:135], 8)
        yield header, header[:100].rstrip(b"\0").decode(), tar[at + 512 : at + 512 + size]
        at += 512 + -(-size // 512) * 512
    assert tar[at:] == bytes(1024)


def decrypt(name: str, age: Path) -> bytes:
    command: list[str | Path] = [age, "-d", "-i", VECTORS / "identity.txt", VECTORS / name]
    return subprocess.run(command, capture_output=True, check=True).stdout


def as_written(document: str) -> bytes:
    return json.dumps(json.loads(document), separators=(",", ":"), ensure_ascii=False).encode()


def test_the_shell_lines_open_an_archive(tmp_path: Path, program: Callable[[str], Path]) -> None:
    program("age")
    recipe = re.search(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert recipe
    (tmp_path / "identity.txt").write_bytes((VECTORS / "identity.txt").read_bytes())
    (tmp_path / "release.age").write_bytes((VECTORS / "none.age").read_bytes())
    ran = subprocess.run(["sh", "-euc", recipe[1]], cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(ran.stdout)["payloadType"] == "application/vnd.in-toto+json"


@pytest.mark.parametrize("name", ["index.json", "manifest.json"])
def test_the_examples_are_an_archives_documents(name: str, program: Callable[[str], Path]) -> None:
    members = {each: content for _, each, content in read_members(decrypt("none.age", program("age")))}
    shown = re.findall(r"compares this with an archive. -->\n```json\n(.*?)```", TEXT, re.DOTALL)
    assert members[name] in [as_written(each) for each in shown]


def test_the_header_is_the_table(program: Callable[[str], Path]) -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (.*) \|$", TEXT, re.MULTILINE)
    assert [int(at) for at, _, _ in rows] == [
        sum(int(size) for _, size, _ in rows[:n]) for n in range(len(rows))
    ]
    assert sum(int(size) for _, size, _ in rows) == 512
    for header, name, content in read_members(decrypt("signed.age", program("age"))):
        blank = header[:148] + b" " * 8 + header[156:]
        expected = b"".join(
            (
                name.encode().ljust(100, b"\0"),
                b"0000644\0" + 2 * b"0000000\0",
                f"{len(content):011o}\0".encode(),
                b"00000000000\0" + f"{sum(blank):06o}\0 ".encode() + b"0",
                bytes(100) + b"ustar\x0000" + bytes(64) + 2 * b"0000000\0" + bytes(167),
            )
        )
        assert header == expected, name


def test_the_members_stand_in_the_order_of_the_table(program: Callable[[str], Path]) -> None:
    names = [name for _, name, _ in read_members(decrypt("signed.age", program("age")))]
    assert names[:4] == re.findall(r"^\| \d \| `([a-z.-]+)` \|", TEXT, re.MULTILINE)
    assert all(name.startswith("blobs/sha256/") for name in names[4:])
    assert len(set(names)) == len(names) == 4 + 2 * 2 + 3
