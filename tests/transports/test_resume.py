"""An unlock by URL that is killed goes on where it was, and two at once do not get into each other's way."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bed.nginx import PrivateNginx
from binary_split.config import MIB
from tests.archives import FRAGMENT
from tests.commandline import CommandLine
from tests.releases import KEY, AgeRelease, make_age_release

pytestmark = pytest.mark.slow
NAME = "resumed.age"


@pytest.fixture(scope="module")
def release(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgeRelease]:
    """A release of some hundred MiB that do not compress, on the server."""
    folder = tmp_path_factory.mktemp("release")
    made = make_age_release(folder, filler_bytes=120 * MIB, filler_kind="random", seed=5)
    shutil.copy(made.path, root / NAME)
    (root / NAME).chmod(0o644)
    yield made
    (root / NAME).unlink()


@pytest.fixture
def device(cli: CommandLine) -> CommandLine:
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    return cli


def arguments(nginx: PrivateNginx, ca_file: Path, cache: Path, engine: Path) -> list[object]:
    secret = ("--fragment-file", "fragment", "--trusted-key", "publisher.pem")
    where = ("--engine", f"oci:{engine}", "--cache", cache)
    return ["unlock", f"{nginx.tls_url}/{NAME}", "--archive-ca", ca_file, *secret, *where]


def test_an_unlock_that_was_killed_moves_little_more_than_one_that_was_not(
    release: AgeRelease, nginx: PrivateNginx, ca_file: Path, device: CommandLine, tmp_path: Path
) -> None:
    needed = release.path.stat().st_size
    before = nginx.sent_bytes(f"/{NAME}")
    command = arguments(nginx, ca_file, tmp_path / "cache", tmp_path / "images")
    with device.running(*command, "--limit-rate", "80M", stdout=subprocess.DEVNULL) as run:
        while nginx.sent_bytes(f"/{NAME}") - before < needed / 2:
            assert run.poll() is None, run.communicate()
            time.sleep(0.02)
    ran = device.run(*command)
    assert ran.status == 0, ran
    moved = nginx.sent_bytes(f"/{NAME}") - before
    assert moved <= 1.1 * needed, f"{moved / needed:.3f} of what was needed"
    assert (tmp_path / "images" / "index.json").exists()
    blocks = [path for path in (tmp_path / "cache").iterdir() if "-" in path.name]
    sealed = release.path.read_bytes()
    assert len(blocks) > 8
    assert all(path.read_bytes()[32:] in sealed for path in blocks[:8])


def test_two_unlocks_at_once_share_a_cache_and_both_end_well(
    release: AgeRelease, nginx: PrivateNginx, ca_file: Path, device: CommandLine, tmp_path: Path
) -> None:
    cache, bound = tmp_path / "cache", 64 * MIB
    with ExitStack() as stack:
        runs = []
        for number in range(2):
            command = arguments(nginx, ca_file, cache, tmp_path / f"images-{number}")
            state = ("--state", tmp_path / f"state-{number}")
            runs.append(stack.enter_context(device.running(*command, *state, "--cache-size", "64M")))
        while any(run.poll() is None for run in runs):
            if cache.exists():
                assert sum(path.stat().st_size for path in cache.glob("*-*")) <= bound
            time.sleep(0.05)
        for number, run in enumerate(runs):
            _out, words = run.communicate()
            assert run.returncode == 0, words
            assert b"is full of this archive" in words
            assert (tmp_path / f"images-{number}" / "index.json").exists()


def test_the_cache_may_be_said_by_the_settings(
    release: AgeRelease, nginx: PrivateNginx, ca_file: Path, device: CommandLine, tmp_path: Path
) -> None:
    (device.home / "config.toml").write_text(f'cache = "{tmp_path / "cache"}"\ncache_size = "32M"\n')
    device = device.with_environment(BINARY_SPLIT_CONFIG=str(device.home / "config.toml"))
    url = (f"{nginx.tls_url}/{NAME}", "--archive-ca", ca_file)
    ran = device.run("inspect", *url, "--fragment-file", "fragment", "--trusted-key", "publisher.pem")
    assert ran.status == 0, ran
    assert list((tmp_path / "cache").glob("*-*"))
    (device.home / "config.toml").write_text('cache = "/somewhere"\ncache_size = "plenty"\n')
    device.run("inspect", *url).assert_failed(3, "not a size")
