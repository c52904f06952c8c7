"""An unlock over a line that loses packets, is slow and gets cut ends right and moves little for nothing.

Worse lines, for minutes: tests/soak/test_bad_networks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bed.bad_link import LineQuality
from bed.unavailable import Unavailable
from tests.commandline import CommandLine
from tests.far import FarServer, far_registry, far_server, unlock_here
from tests.releases import AgeRelease, make_age_release

pytestmark = pytest.mark.slow
_LOSSY = LineQuality(loss=0.02, delay_s=0.01, loss_up=0.02)


@pytest.fixture
def far(root: Path, cli: CommandLine, could_not_run: Callable[[Unavailable], None]) -> Iterator[FarServer]:
    """2 % of the packets are lost each way, and it takes 20 ms there and back."""
    with far_server(root, cli, could_not_run, quality=_LOSSY, buffer=65536) as server:
        yield server


@pytest.fixture
def release(tmp_path: Path) -> AgeRelease:
    """Of two blocks."""
    return make_age_release(tmp_path / "release", filler_bytes=1_200_000, filler_kind="random")


@pytest.mark.fault(27)
def test_lost_and_late_packets_cost_time_and_nothing_else(
    far: FarServer, release: AgeRelease, cli: CommandLine
) -> None:
    far.unlock(release, secure=False, timeout_s=60).assert_right(release, unlock_here(release, cli))


@pytest.mark.fault(27)
def test_lost_and_late_packets_cost_time_and_nothing_else_from_a_registry(
    cli: CommandLine, release: AgeRelease, could_not_run: Callable[[Unavailable], None]
) -> None:
    with far_registry(cli, could_not_run, quality=_LOSSY) as far:
        far.unlock(release, timeout_s=60).assert_right(release, unlock_here(release, cli))


def test_a_line_that_is_cut_in_the_middle_is_waited_for(
    far: FarServer, release: AgeRelease, cli: CommandLine
) -> None:
    cut = far.cut_at(release.path.stat().st_size // 2, seconds=2)
    unlocked = far.unlock(release, secure=True, meanwhile=cut, timeout_s=60)
    unlocked.assert_right(release, unlock_here(release, cli))
