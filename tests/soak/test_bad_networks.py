"""Lines so bad that an unlock takes minutes: it ends right all the same, and moves little for nothing."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bed.bad_link import BadLink, LineQuality
from bed.unavailable import Unavailable
from binary_split.config import LIMITS, MIB
from binary_split.errors import KeyServiceTimeoutError, KeyServiceUnreachableError
from tests.archives import FRAGMENT
from tests.commandline import CommandLine
from tests.far import far_key_service, far_server, fetch_over, unlock_here
from tests.lending import lent
from tests.releases import make_age_release

pytestmark = [pytest.mark.slow, pytest.mark.fault(27)]
_IN_TIME = {KeyServiceTimeoutError.code, KeyServiceUnreachableError.code}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's own user can read, as it cannot read pytest's."""
    with tempfile.TemporaryDirectory(prefix="bed-www-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _show(figures: str) -> None:
    """Leave figures in what the test writes, which ``-rP`` shows."""
    sys.stdout.write(figures)


@pytest.mark.soak(minutes=6)
def test_an_unlock_with_30_percent_loss_and_2_seconds_there_and_back_ends_right(
    folder: Path,
    cli: CommandLine,
    tmp_path: Path,
    seed: int,
    could_not_run: Callable[[Unavailable], None],
) -> None:
    """Three of ten packets to the device are lost, as of a `netem` that is put before a server."""
    release = make_age_release(tmp_path / "release", filler_bytes=200_000, filler_kind="random")
    quality = LineQuality(loss=0.3, delay_s=1.0, seed=seed)
    with far_server(folder, cli, could_not_run, quality=quality, buffer=4096) as far:
        unlocked = far.unlock(release, secure=False, timeout_s=1800)
    _show(unlocked.figures(release.path.stat().st_size))
    unlocked.assert_right(release, unlock_here(release, cli))


@pytest.mark.soak(minutes=3)
def test_an_unlock_whose_line_is_cut_for_60_seconds_ends_right(
    folder: Path,
    cli: CommandLine,
    tmp_path: Path,
    seed: int,
    could_not_run: Callable[[Unavailable], None],
) -> None:
    release = make_age_release(tmp_path / "release", filler_bytes=24 * MIB, filler_kind="random")
    quality = LineQuality(loss=0.005, delay_s=0.025, loss_up=0.005, bytes_per_s=2e6, seed=seed)
    with far_server(folder, cli, could_not_run, quality=quality, buffer=65536) as far:
        cut = far.cut_at(release.path.stat().st_size // 2, seconds=60)
        unlocked = far.unlock(release, secure=True, meanwhile=cut, timeout_s=600)
    _show(unlocked.figures(release.path.stat().st_size))
    unlocked.assert_right(release, unlock_here(release, cli))


@pytest.mark.soak(minutes=1.5)
def test_a_fragment_is_fetched_with_30_percent_loss_and_2_seconds_there_and_back_or_the_fetch_ends_in_time(
    cli: CommandLine,
    tmp_path: Path,
    seed: int,
    could_not_run: Callable[[Unavailable], None],
) -> None:
    quality = LineQuality(loss=0.3, delay_s=1.0, loss_up=0.3, seed=seed)
    with (
        lent(lambda: BadLink(quality), could_not_run) as link,
        far_key_service(link, cli, tmp_path) as service,
    ):
        fetched = fetch_over(link, service, times=16)
    _show(" ".join(f"{each.seconds:.1f}:{each.outcome[:24]}" for each in fetched))
    assert {each.outcome for each in fetched} <= {FRAGMENT.hex(), *_IN_TIME}
    assert all(each.seconds < LIMITS.fetch_deadline_s + 1 for each in fetched)
    assert FRAGMENT.hex() in {each.outcome for each in fetched}
