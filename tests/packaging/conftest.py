"""The release as `make dist` builds it, and what the smoke journey needs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bed.images import build_release

ROOT = Path(__file__).resolve().parents[2]
BUILD_TIMEOUT_S = 120


def build_dist(tree: Path, folder: Path, **environment: str) -> list[Path]:
    """Run a tree's own `scripts/dist`, and return the sdist and the wheel."""
    done = subprocess.run(
        [tree / "scripts" / "dist", folder],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The sdist and the wheel of this tree."""
    return build_dist(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def wheel(dist: list[Path]) -> Path:
    """The wheel."""
    return dist[1]


@pytest.fixture(scope="session")
def small_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of one image, as `docker save` writes it."""
    path = tmp_path_factory.mktemp("small-release") / "release.tar"
    build_release(path, "1.0.0", names=["azaion/flights"], filler_bytes=4000)
    return path
