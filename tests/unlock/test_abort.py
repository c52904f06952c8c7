"""An unlock that is to end from another thread ends at its next step, and leaves nothing half-done."""

from __future__ import annotations

import pytest

from binary_split.engines import Abort
from binary_split.errors import EngineAbortedError
from binary_split.model import Digest, ImageRef, Progress
from binary_split.unlock.order import UnlockOrder, UnlockResult
from binary_split.unlock.pipeline import unlock
from binary_split.unlock.records import InstalledRelease
from tests.archives import Fragments, Sealed
from tests.unlock.conftest import Device
from tests.unlock.test_pipeline import FULL


def unlock_until(device: Device, sealed: Sealed, step: str) -> UnlockResult:
    """Unlock, and ask for its end as soon as a step begins."""
    abort = Abort()

    def report(progress: Progress) -> None:
        if progress.step == step:
            abort.set()

    order = UnlockOrder(sealed.path, sealed.images, sealed.pins)
    return unlock(order, device.engine, Fragments(), device.journal, report=report, abort=abort)


@pytest.mark.parametrize("step", FULL[:-2])
def test_before_the_proof_it_leaves_nothing_and_may_begin_again(
    device: Device, sealed: Sealed, step: str
) -> None:
    with pytest.raises(EngineAbortedError):
        unlock_until(device, sealed, step)
    assert device.ids(sealed.images) == {}
    device.unlock(sealed.path, sealed.pins)
    assert device.ids(sealed.images) == sealed.pins


def test_what_is_proven_is_committed(device: Device, sealed: Sealed) -> None:
    assert set(unlock_until(device, sealed, "verifying").loaded) == set(sealed.images)
    assert device.ids(sealed.images) == sealed.pins


def test_the_plan_is_told_once_before_anything_is_loaded(device: Device, sealed: Sealed) -> None:
    told: list[tuple[InstalledRelease, frozenset[ImageRef], dict[ImageRef, Digest]]] = []
    order = UnlockOrder(sealed.path, sealed.images, sealed.pins, version="1.0.0")
    for _time in range(2):  # the second time nothing is lacking
        unlock(
            order,
            device.engine,
            Fragments(),
            device.journal,
            on_plan=lambda release, lacking: told.append(
                (release, frozenset(lacking), device.ids(sealed.images))
            ),
        )
    [(release, lacking, there)] = told
    assert (release.version, lacking, there) == ("1.0.0", frozenset(sealed.images), {})
