"""``binary-split device``: one file or none; the private half is nobody else's, the public one is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from binary_split.sealedfragment import Kem, PublicKey, parse_device_key
from tests.commandline import CommandLine

pytestmark = pytest.mark.slow  # each command is a process of its own


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"tmp"}


@pytest.mark.parametrize(("options", "kem"), [((), Kem.X25519), (("--hybrid",), Kem.HYBRID)])
def test_init_makes_a_private_file_and_prints_the_public_key(
    cli: CommandLine, tmp_path: Path, options: tuple[str, ...], kem: Kem
) -> None:
    made = cli.run("device", "init", "-o", tmp_path / "key", *options)
    assert made.status == 0
    key = parse_device_key((tmp_path / "key").read_bytes())
    public = PublicKey.of(key)
    assert key.kem is kem
    assert made.stdout == f"{public.serialise()}\n"
    assert public.fingerprint in made.stderr
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == {"key"}
    shown = cli.run("device", "show", tmp_path / "key")
    assert shown.stdout == made.stdout
    assert "bsd1:" not in made.stdout + made.stderr + shown.stderr


def test_init_never_overwrites(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"older")
    cli.run("device", "init", "-o", tmp_path / "key").assert_failed(5, "exists already")
    assert (tmp_path / "key").read_bytes() == b"older"
    assert names(tmp_path) == {"key"}


def test_the_setting_names_the_file(cli: CommandLine, tmp_path: Path) -> None:
    cli.run("device", "init").assert_failed(3, "no device key is given")
    named = cli.with_environment(BINARY_SPLIT_DEVICE_KEY_FILE=str(tmp_path / "key"))
    made = named.run("device", "init")
    (tmp_path / "settings.toml").write_text(f'device_key_file = "{tmp_path / "key"}"\n')
    by_file = cli.with_environment(BINARY_SPLIT_CONFIG=str(tmp_path / "settings.toml"))
    assert made.stdout == named.run("device", "show").stdout == by_file.run("device", "show").stdout != ""


def test_a_credential_of_systemd_is_found_and_its_mode_is_systemds(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    made = cli.run("device", "init", "-o", tmp_path / "credentials" / "device-key")
    (tmp_path / "credentials" / "device-key").chmod(0o440)  # how an ACL for the unit's user looks
    unit = cli.with_environment(CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
    assert unit.run("device", "show").stdout == made.stdout
    (tmp_path / "credentials" / "device-key").unlink()
    unit.run("device", "show").assert_failed(3, "no device key is given")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(cli: CommandLine, tmp_path: Path, mode: int) -> None:
    cli.run("device", "init", "-o", tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    refused = cli.run("device", "show", tmp_path / "key")
    refused.assert_failed(4, "open to others", f"{mode:04o}", "chmod 600")
    assert refused.stdout == ""


def test_a_file_that_holds_something_else_is_refused_and_not_quoted(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"bsd1:x25519:SECRET\n")
    (tmp_path / "key").chmod(0o600)
    refused = cli.run("device", "show", tmp_path / "key")
    refused.assert_failed(4, "no device key")
    assert "SECRET" not in refused.stderr
    cli.run("device", "show", tmp_path / "absent").assert_failed(4, "absent")
