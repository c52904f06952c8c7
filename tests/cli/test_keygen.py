"""``binary-split keygen``: two files or none, and the private key is nobody else's."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from binary_split.cli.main import main
from binary_split.errors import OutputError, SecretFileError
from binary_split.oci.publisher_key import PrivateKey, PublicKey


class Result(NamedTuple):
    """How the command ended."""

    exit_code: int
    stdout: str
    stderr: str


Keygen = Callable[..., Result]


@pytest.fixture
def keygen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keygen:
    """Run the command through ``main``."""

    def run(*words: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["binary-split", "keygen", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        assert isinstance(caught.value.code, int)
        return Result(caught.value.code, *capsys.readouterr())

    return run


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """A umask of 022: what is stricter than that is our doing."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_writes_a_key_pair_and_prints_the_key_id(keygen: Keygen, tmp_path: Path) -> None:
    result = keygen("-o", tmp_path / "release-key")
    private = PrivateKey.parse((tmp_path / "release-key").read_bytes())
    public = PublicKey.parse((tmp_path / "release-key.pub").read_bytes())
    assert result.exit_code == 0
    assert private.public_key == public
    assert result.stdout == f"{public.key_id}\n"
    assert (mode(tmp_path / "release-key"), mode(tmp_path / "release-key.pub")) == (0o600, 0o644)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["release-key", "release-key.pub"]


def test_the_private_key_is_not_printed(keygen: Keygen, tmp_path: Path) -> None:
    result = keygen("-o", tmp_path / "key")
    body = (tmp_path / "key").read_text().splitlines()[1]
    assert body not in result.stdout + result.stderr


def test_json_says_where_the_files_are(keygen: Keygen, tmp_path: Path) -> None:
    document = json.loads(keygen("-o", tmp_path / "key", "--json").stdout)
    assert document == {
        "key_id": PublicKey.parse((tmp_path / "key.pub").read_bytes()).key_id,
        "key_file": str(tmp_path / "key"),
        "public_key_file": str(tmp_path / "key.pub"),
        "is_encrypted": False,
    }


def test_with_a_passphrase_the_key_is_encrypted(keygen: Keygen, tmp_path: Path) -> None:
    (tmp_path / "word").write_bytes(b"correct horse\n")
    result = keygen("-o", tmp_path / "key", "--passphrase-file", tmp_path / "word", "--json")
    assert json.loads(result.stdout)["is_encrypted"] is True
    pem = (tmp_path / "key").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert PrivateKey.parse(pem, b"correct horse").key_id == json.loads(result.stdout)["key_id"]
    assert mode(tmp_path / "key") == 0o600


def test_the_passphrase_may_come_from_stdin(
    keygen: Keygen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"correct horse")))
    assert keygen("-o", tmp_path / "key", "--passphrase-file", "-").exit_code == 0
    key = PrivateKey.parse((tmp_path / "key").read_bytes(), b"correct horse")
    assert key.public_key == PublicKey.parse((tmp_path / "key.pub").read_bytes())


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"x" * 1024])
def test_a_bad_passphrase_leaves_nothing(keygen: Keygen, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "word").write_bytes(content)
    result = keygen("-o", tmp_path / "key", "--passphrase-file", tmp_path / "word")
    assert result.exit_code == SecretFileError.exit_code
    assert [path.name for path in tmp_path.iterdir()] == ["word"]


@pytest.mark.parametrize("name", ["key", "key.pub"])
def test_an_older_file_is_not_touched_and_nothing_is_left(keygen: Keygen, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"older")
    result = keygen("-o", tmp_path / "key")
    assert result.exit_code == OutputError.exit_code
    assert (tmp_path / name).read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_does_not_exist_is_named(keygen: Keygen, tmp_path: Path) -> None:
    result = keygen("-o", tmp_path / "nowhere" / "key")
    assert result.exit_code == OutputError.exit_code
    assert "nowhere" in result.stderr


def test_no_option_takes_the_passphrase_itself(keygen: Keygen, tmp_path: Path) -> None:
    assert keygen("-o", tmp_path / "key", "--passphrase", "word").exit_code == 2
    assert not list(tmp_path.iterdir())
