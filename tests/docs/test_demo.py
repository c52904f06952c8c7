"""`make demo` does the whole job, whatever the user has set, and leaves nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_does_every_step_and_leaves_nothing(fresh_device: PrivateDockerd, tmp_path: Path) -> None:
    of_the_user = {"BINARY_SPLIT_CONFIG": "/nowhere/config.toml", "BINARY_SPLIT_TOKEN": "of another service"}
    environment = {**fresh_device.environment(), **of_the_user, "TMPDIR": str(tmp_path)}

    ran = subprocess.run(
        [sys.executable, "-m", "scripts.demo"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert ran.returncode == 0, ran
    assert "Every step did what it should" in ran.stdout
    assert fresh_device.image_ids() == {}
    assert list(tmp_path.iterdir()) == []
