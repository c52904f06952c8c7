"""The wheel: the same bytes from the same commit, everything in it, and it works where there is no source."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, build_dist

INSTALL_TIMEOUT_S = 300


def digests(files: list[Path]) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def tracked_files(*below: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *below], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    return [Path(name) for name in listed.stdout.split("\0") if name]


def copy_elsewhere(folder: Path) -> Path:
    """Copy the tree to another place, with other times and modes."""
    for path in tracked_files():
        copy = folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / path).read_bytes())
        copy.chmod(0o600 | (ROOT / path).stat().st_mode & 0o100)
        os.utime(copy, (1_000_000_000, 1_000_000_000))
    (folder / ".venv").symlink_to(sys.prefix)
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=folder, check=True, timeout=30)
    return folder


@pytest.mark.slow
def test_the_same_commit_gives_the_same_bytes_elsewhere_and_later(dist: list[Path], tmp_path: Path) -> None:
    epoch = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    ).stdout.strip()
    tree = copy_elsewhere(tmp_path / "another place")
    again = build_dist(tree, tmp_path / "again", SOURCE_DATE_EPOCH=epoch, TZ="Pacific/Auckland", LC_ALL="C")
    assert digests(again) == digests(dist)


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_source(wheel: Path) -> None:
    source = {str(path.relative_to("src")) for path in tracked_files("src")}
    assert {"binary_split/py.typed", "binary_split/keyservice/migrations/script.py.mako"} < source
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name and ".data/" not in name}
    assert names == source


@pytest.mark.slow
def test_the_installed_wheel_does_the_main_job_where_there_is_no_source(
    wheel: Path, small_release: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "installed"
    python = environment / "bin" / "python"
    locks = [f"-r{ROOT / 'requirements' / name}.txt" for name in ("agent", "keyservice")]
    commands: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", environment],
        [python, "-m", "pip", "--quiet", "install", "--no-compile", "--require-hashes", *locks],
        [python, "-m", "pip", "--quiet", "install", "--no-deps", wheel],
        [python, "-m", "pip", "check"],
        [ROOT / "scripts" / "smoke-journey", small_release],
    ]
    elsewhere = {name: text for name, text in os.environ.items() if not name.startswith("BINARY_SPLIT_")}
    elsewhere["PATH"] = f"{environment / 'bin'}:{os.environ['PATH']}"
    for command in commands:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=elsewhere,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("smoke journey: done\n")
    for installed in (
        "man/man1/binary-split-unlock.1",
        "man/man5/binary-split.toml.5",
        "bash-completion/completions/binary-split",
        "fish/vendor_completions.d/binary-split.fish",
        "zsh/site-functions/_binary-split",
    ):
        assert (environment / "share" / installed).is_file(), installed
    version = re.match(r"binary_split-([^-]+)-", wheel.name)
    assert version
    assert f"binary-split, version {version[1]}\n" in done.stdout
