"""Over a line that loses packets and is slow the fragment comes, or the fetch ends in time.

A worse line: tests/soak/test_bad_networks.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bed.bad_link import BadLink, LineQuality
from bed.unavailable import Unavailable
from tests.archives import FRAGMENT
from tests.commandline import CommandLine
from tests.far import far_key_service, fetch_over
from tests.lending import lent

pytestmark = pytest.mark.slow


@pytest.mark.fault(27)
def test_lost_and_late_packets_are_waited_for(
    cli: CommandLine, tmp_path: Path, seed: int, could_not_run: Callable[[Unavailable], None]
) -> None:
    quality = LineQuality(loss=0.05, delay_s=0.025, loss_up=0.05, seed=seed)
    with (
        lent(lambda: BadLink(quality), could_not_run) as link,
        far_key_service(link, cli, tmp_path) as service,
    ):
        fetched = fetch_over(link, service, times=4)
    assert [each.outcome for each in fetched] == [FRAGMENT.hex()] * 4
    assert all(each.seconds < 20 for each in fetched)


@pytest.mark.fault(26, 33)
def test_a_line_that_is_cut_and_a_name_that_nobody_resolves_are_given_up_in_time(
    cli: CommandLine, tmp_path: Path, could_not_run: Callable[[Unavailable], None]
) -> None:
    with (
        lent(lambda: BadLink(LineQuality(loss=0, delay_s=0.01)), could_not_run) as link,
        far_key_service(link, cli, tmp_path) as service,
    ):
        link.cut()
        (late,) = fetch_over(link, service, times=1, deadline_s=2)
        (lost,) = fetch_over(link, replace(service, url="https://keys.example"), times=1, deadline_s=2)
        link.join()
        (found,) = fetch_over(link, service, times=1)
    assert late.outcome in {"key-service-timeout", "key-service-unreachable"}
    assert lost.outcome == "key-service-unreachable"
    assert max(late.seconds, lost.seconds) < 5
    assert found.outcome == FRAGMENT.hex()
