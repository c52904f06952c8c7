"""An unlock over a line that loses packets, is slow and gets cut ends right and moves little for nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bed.bad_link import BadLink
from bed.unavailable import Unavailable
from binary_split.config import MIB
from tests.commandline import CommandLine
from tests.lending import lent
from tests.releases import AgeRelease, make_age_release
from tests.transports.far import FarServer, far_server, unlock_here

pytestmark = pytest.mark.slow
MOST = 1.1
"""Bytes that are moved, by what is needed: here all of the archive."""


@pytest.fixture
def far(root: Path, cli: CommandLine, could_not_run: Callable[[Unavailable], None]) -> Iterator[FarServer]:
    """2 % of the packets are lost each way, and it takes 20 ms there and back."""
    with ExitStack() as opened:
        link = opened.enter_context(lent(lambda: BadLink(loss=0.02, delay_s=0.01), could_not_run))
        try:
            server = opened.enter_context(far_server(link, root, cli, buffer="64k"))
        except Unavailable as missing:
            could_not_run(missing)
        yield server


@pytest.fixture
def release(tmp_path: Path) -> AgeRelease:
    return make_age_release(tmp_path / "release", filler_bytes=3 * MIB // 2, filler_kind="random")


@pytest.mark.parametrize("secure", [True, False], ids=["https", "http"])
def test_lost_and_late_packets_cost_time_and_nothing_else(
    far: FarServer, release: AgeRelease, cli: CommandLine, secure: bool
) -> None:
    unlocked = far.unlock(release, secure=secure, timeout_s=60)
    assert unlocked.ran.status == 0, unlocked
    assert unlocked.images == unlock_here(release, cli)
    needed = release.path.stat().st_size
    assert unlocked.sent <= MOST * needed, unlocked
    assert unlocked.received <= MOST * needed, unlocked


def test_a_line_that_is_cut_in_the_middle_is_waited_for(
    far: FarServer, release: AgeRelease, cli: CommandLine
) -> None:
    needed = release.path.stat().st_size

    def cut(port: int) -> None:
        while far.link.received_bytes(port) < needed // 2:
            time.sleep(0.01)
        far.link.cut()
        time.sleep(2)
        assert far.link.received_bytes(port) < needed
        far.link.join()

    unlocked = far.unlock(release, secure=True, meanwhile=cut, timeout_s=60)
    assert unlocked.ran.status == 0, unlocked
    assert unlocked.images == unlock_here(release, cli)
    assert unlocked.sent <= MOST * needed, unlocked
    assert unlocked.received <= MOST * needed, unlocked
