"""What each private server promises: whatever ends a start or a test run, nothing of it is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bed.postgres import PrivatePostgres
from bed.private import PrivateServer
from bed.unavailable import Unavailable

START_AND_WAIT = """
import sys
from bed.postgres import PrivatePostgres
server = PrivatePostgres()
server.start()
print((server.folder / "data" / "postmaster.pid").read_text().split()[0], server.folder, flush=True)
sys.stdin.read()
"""
GONE_S = 20


class Broken(PrivateServer):
    """A server whose question whether it is up goes wrong."""

    pid = 0
    made: Path

    def start(self) -> None:
        self.made = self._make_folder("bed-broken-")
        self._launch(["sleep", "60"], self._fail)

    def _fail(self) -> bool:
        assert self._process is not None
        self.pid = self._process.pid
        raise KeyboardInterrupt


def test_a_start_that_is_interrupted_leaves_no_process_and_no_folder() -> None:
    server = Broken()
    with pytest.raises(KeyboardInterrupt), server:
        pytest.fail("it was started")
    assert not Path(f"/proc/{server.pid}").exists()
    assert not server.made.exists()


@pytest.mark.slow
def test_a_killed_test_run_leaves_no_database(could_not_run: Callable[[Unavailable], None]) -> None:
    try:
        with PrivatePostgres():
            pass
    except Unavailable as missing:
        could_not_run(missing)
    with subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        pid, folder = run.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        os.kill(run.pid, signal.SIGKILL)
    deadline = time.monotonic() + GONE_S
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    shutil.rmtree(folder)
    assert not Path(f"/proc/{pid}").exists()
