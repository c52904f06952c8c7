from __future__ import annotations

from collections.abc import Iterator

import pytest

from bed.dockerd import PrivateDockerd
from tests.faults.device import Device


@pytest.fixture(scope="module")
def device(
    device_engine: PrivateDockerd, busybox: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Device]:
    """The same for all tests of a module: each must leave it as it was."""
    device_engine.empty()
    yield Device.of(tmp_path_factory.mktemp("device"), device_engine, busybox)
    device_engine.empty()
