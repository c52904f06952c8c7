"""FAULTS 27: over a line that loses packets and is slow the fragment comes, or the fetch ends in time.

A worse line: tests/soak/test_bad_networks.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bed.bad_link import BadLink, LineQuality
from bed.unavailable import Unavailable
from tests.archives import FRAGMENT
from tests.commandline import CommandLine
from tests.far import far_key_service, fetch_over
from tests.lending import lent


@pytest.mark.slow
def test_lost_and_late_packets_are_waited_for(
    cli: CommandLine, tmp_path: Path, could_not_run: Callable[[Unavailable], None]
) -> None:
    quality = LineQuality(loss=0.05, delay_s=0.025, loss_up=0.05)
    with (
        lent(lambda: BadLink(quality), could_not_run) as link,
        far_key_service(link, cli, tmp_path) as service,
    ):
        fetched = fetch_over(link, service, times=4)
    assert [each.outcome for each in fetched] == [FRAGMENT.hex()] * 4
    assert all(each.seconds < 20 for each in fetched)
