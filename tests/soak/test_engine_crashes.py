"""The test bed itself under stress: what long tests rely on must not be what fails."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from bed.images import build_release
from tests.reporting.soaking import Rounds

ROUNDS = 10


@pytest.mark.soak(minutes=1)
@pytest.mark.usefixtures("device_engine")  # skipped where no engine starts
def test_an_engine_killed_in_mid_load_starts_again_and_loads(
    busybox: bytes, tmp_path: Path, rounds: Rounds, chance: random.Random
) -> None:
    path = tmp_path / "release.tar"
    refs = build_release(path, "1.0.0", program=busybox, filler_bytes=64 << 20)
    with PrivateDockerd() as engine:
        for _round in rounds(ROUNDS):
            command = ["docker", "load", "--input", str(path)]
            with subprocess.Popen(
                command, env=engine.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as load:
                time.sleep(chance.uniform(0.05, 1.5))
                engine.crash()
                load.wait(60)
            engine.start()
        engine.docker("load", "--input", str(path))
        assert engine.image_ids() == refs
        engine.docker("run", "--rm", "--network", "none", "azaion/flights:1.0.0")
        engine.empty()
        assert engine.leftovers() == []
