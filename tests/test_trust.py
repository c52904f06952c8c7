"""Trusted keys: every file that is named or lies in the folder counts, or stops everything."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from binary_split.config import LIMITS, load_settings
from binary_split.errors import ConfigError
from binary_split.trust import load_trusted_keys
from tests.oci.statements import private_key

FIRST, SECOND, THIRD = (private_key(number) for number in (1, 2, 3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of trusted keys; their names sort against the order in which they were written."""
    path = tmp_path / "trusted-keys.d"
    path.mkdir()
    (path / "2026.pem").write_bytes(SECOND.public_key.serialise())
    (path / "2025.pem").write_bytes(FIRST.public_key.serialise())
    (path / "README").write_text("not a key")
    return path


def test_files_come_first_and_then_the_folder_by_name(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    file.write_bytes(THIRD.public_key.serialise())
    keys = load_trusted_keys([file], folder)
    assert keys == (THIRD.public_key, FIRST.public_key, SECOND.public_key)
    assert load_trusted_keys([file], None) == (THIRD.public_key,)
    assert load_trusted_keys([], None) == ()


def test_a_key_named_twice_counts_once(folder: Path) -> None:
    assert len(load_trusted_keys([folder / "2025.pem"], folder)) == 2


def test_an_empty_folder_holds_no_key(tmp_path: Path) -> None:
    assert load_trusted_keys([], tmp_path) == ()


def test_a_link_to_a_key_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.pem").symlink_to(folder / "2026.pem")
    assert load_trusted_keys([], tmp_path) == (SECOND.public_key,)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a key"),
        lambda path: path.write_bytes(FIRST.serialise()),
        lambda path: path.write_bytes(FIRST.public_key.serialise() * 2),
        lambda path: path.write_bytes(bytes(LIMITS.publisher_key_bytes + 1)),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.symlink_to("/dev/zero"),
        os.mkfifo,
    ],
)
def test_a_key_that_cannot_be_used_is_named_and_never_passed_over(
    folder: Path, spoil: Callable[[Path], object]
) -> None:
    path = folder / "broken.pem"
    spoil(path)
    for files, of in (([], folder), ([path], None)):
        with pytest.raises(ConfigError, match=r"broken\.pem") as caught:
            load_trusted_keys(files, of)
        assert caught.value.hint


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=name):
        load_trusted_keys([], tmp_path / name)


def test_more_keys_than_anybody_rotates_are_refused(tmp_path: Path) -> None:
    for number in range(LIMITS.trusted_keys + 1):
        (tmp_path / f"{number}.pem").write_bytes(private_key(number).public_key.serialise())
    with pytest.raises(ConfigError, match="too many"):
        load_trusted_keys([], tmp_path)


def test_the_folder_is_a_setting(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('trusted_keys_folder = "/etc/keys.d"\n')
    environ = {"BINARY_SPLIT_CONFIG": str(config)}
    assert load_settings({}).trusted_keys_folder is None
    assert load_settings(environ).trusted_keys_folder == Path("/etc/keys.d")
    environ["BINARY_SPLIT_TRUSTED_KEYS_FOLDER"] = "/run/keys.d"
    assert load_settings(environ).trusted_keys_folder == Path("/run/keys.d")
