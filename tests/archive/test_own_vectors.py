"""Each archive of our own vectors through each way of reading it: every command, and stock age."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from binary_split.cli.main import cli as commands
from binary_split.engines import open_engine
from binary_split.errors import BinarySplitError
from binary_split.model import Digest, ImageRef

Vector = dict[str, Any]

FOLDER = Path(__file__).parents[1] / "vectors/archive-v1"
VERSION = "1.0.0"
TRUSTED = ("--trusted-key", FOLDER / "publisher.pem")
VECTORS: list[Vector] = json.loads((FOLDER / "vectors.json").read_text())
STORED = [vector for vector in VECTORS if "derive" not in vector]
HOLDING = [vector for vector in VECTORS if "images" in vector]


def is_age(vector: Vector) -> bool:
    return str(vector["file"]).endswith(".age")


def of(vectors: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", vectors, ids=lambda vector: str(vector["file"]))


def run(*arguments: object) -> str:
    """Run a command in this process; return ``ok`` or the name of its error."""
    try:
        commands.main([str(argument) for argument in arguments], standalone_mode=False)
    except BinarySplitError as error:
        return error.code
    return "ok"


def fragment_of(vector: Vector) -> tuple[str, Path]:
    return "--fragment-file", FOLDER / vector["fragment"]


@pytest.fixture
def archive(vector: Vector, tmp_path: Path) -> Path:
    """The vector's file, made by its rule where it has no file of its own."""
    rule = vector.get("derive")
    if rule is None:
        return FOLDER / str(vector["file"])
    path = tmp_path / str(vector["file"])
    content = bytearray((FOLDER / rule["file"]).read_bytes())
    if "flip_bit_of_byte" in rule:
        content[rule["flip_bit_of_byte"]] ^= 1
    path.write_bytes(content[: len(content) - rule.get("cut", 0)] + bytes.fromhex(rule.get("append", "")))
    beside = FOLDER / f"{rule['file']}.release.json"
    if beside.exists():
        shutil.copy(beside, path.with_name(f"{path.name}.release.json"))
    return path


@of(STORED)
def test_each_file_is_the_one_that_is_described(vector: Vector) -> None:
    assert hashlib.sha256((FOLDER / vector["file"]).read_bytes()).hexdigest() == vector["sha256"]


def test_each_archive_in_the_folder_is_described() -> None:
    names = {path.name for path in FOLDER.iterdir() if path.suffix in {".age", ".cbc"}}
    assert names == {vector["file"] for vector in STORED}


@of(VECTORS)
def test_decrypt(vector: Vector, archive: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.tar"
    assert run("decrypt", archive, *fragment_of(vector), "-o", plain) == vector["expect"]["decrypt"]
    assert plain.exists() == (vector["expect"]["decrypt"] == "ok")
    if "plaintext_sha256" in vector:
        assert hashlib.sha256(plain.read_bytes()).hexdigest() == vector["plaintext_sha256"]


@of(VECTORS)
def test_verify(vector: Vector, archive: Path) -> None:
    assert run("verify", archive, *fragment_of(vector), *TRUSTED) == vector["expect"]["verify"]


@of([vector for vector in VECTORS if vector["expect"]["verify"].startswith("signature")])
def test_what_is_whole_but_not_signed_is_read_where_that_is_allowed(vector: Vector, archive: Path) -> None:
    assert run("verify", archive, *fragment_of(vector), "--allow-unsigned") == "ok"


@of([vector for vector in VECTORS if is_age(vector)])
def test_without_a_trusted_key_nothing_is_verified(vector: Vector, archive: Path) -> None:
    assert run("verify", archive, *fragment_of(vector)) == "signature-untrusted"


@of(VECTORS)
def test_unlock(vector: Vector, archive: Path, tmp_path: Path) -> None:
    engine = f"oci:{tmp_path / 'images'}"
    unlocking = ("unlock", archive, "--version", VERSION, "--engine", engine)
    assert run(*unlocking, *fragment_of(vector), *TRUSTED) == vector["expect"]["unlock"]
    if vector["expect"]["unlock"] == "ok":
        for ref, config in vector["images"].items():
            assert find_config(tmp_path / "images", ref) == config
    else:
        found = open_engine(engine).find_image(ImageRef.parse(f"vector/small:{VERSION}"))
        assert found is None


@of(HOLDING)
def test_inspect(vector: Vector, archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", archive, *fragment_of(vector), "--json") == "ok"
    shown = json.loads(capsys.readouterr().out)
    found = {ref: image["id"] for image in shown["images"] for ref in image["refs"]}
    assert found == vector["images"]


@of(VECTORS)
def test_inspect_needs_no_secret_to_name_the_fragments(
    vector: Vector, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("inspect", archive, "--json") == "ok"
    shown = json.loads(capsys.readouterr().out)
    assert shown["format"] == ("age" if is_age(vector) else "cbc")
    assert ("vectors-1" in shown.get("key_ids", [])) == is_age(vector)


@of([vector for vector in STORED if is_age(vector) and vector["expect"]["decrypt"] == "ok"])
def test_stock_age_opens_it_with_an_ordinary_identity(
    vector: Vector, archive: Path, program: Callable[[str], Path]
) -> None:
    command: list[str | Path] = [program("age"), "-d", "-i", FOLDER / "identity.txt", archive]
    plain = subprocess.run(command, capture_output=True, check=True).stdout
    assert hashlib.sha256(plain).hexdigest() == vector["plaintext_sha256"]


@of([vector for vector in VECTORS if is_age(vector) and len(vector.get("derive", ())) > 1])
def test_stock_age_refuses_what_was_damaged_on_the_way(archive: Path, program: Callable[[str], Path]) -> None:
    command: list[str | Path] = [
        program("age"),
        "-d",
        "-o",
        os.devnull,
        "-i",
        FOLDER / "identity.txt",
        archive,
    ]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def find_config(folder: Path, ref: str) -> str:
    """Return an image's config digest from an OCI layout, read without the product's code."""
    index = json.loads((folder / "index.json").read_text())
    for entry in index["manifests"]:
        if entry["annotations"]["io.containerd.image.name"] == f"docker.io/{ref}":
            manifest = folder / "blobs/sha256" / Digest.parse(entry["digest"]).hex
            return str(json.loads(manifest.read_text())["config"]["digest"])
    raise AssertionError(f"{ref} is not in {folder}")
