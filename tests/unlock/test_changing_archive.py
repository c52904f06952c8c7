"""An archive that becomes another, or cannot be read any more, while it is read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bed.disk import SmallDisk
from binary_split.errors import ArchiveDamagedError, ArchiveUnreadableError, BinarySplitError
from binary_split.model import Fragment
from tests.archives import Fragments, Sealed, make_sealed
from tests.unlock.conftest import NAMES, Device

pytestmark = pytest.mark.fault(25)


class Meanwhile(Fragments):
    """A source of fragments that changes something when it is asked: the archive is open by then."""

    def __init__(self, change: Callable[[], object]) -> None:
        super().__init__()
        self._change = change

    def fetch(self) -> Fragment:
        self._change()
        return super().fetch()


@pytest.fixture
def archive(sealed: Sealed, tmp_path: Path) -> Path:
    path = tmp_path / "release.cbc"
    path.write_bytes(sealed.path.read_bytes())
    return path


def test_one_that_is_written_over_in_place_is_refused(
    device: Device, sealed: Sealed, archive: Path, tmp_path: Path
) -> None:
    other = make_sealed(tmp_path / "other", "1.0.0", NAMES, seed=9).path.read_bytes()

    def write_over() -> None:
        with archive.open("r+b") as file:
            file.write(other)

    with pytest.raises(BinarySplitError) as caught:
        device.unlock(archive, sealed.pins, source=Meanwhile(write_over))
    assert caught.value.exit_code in {12, 53}
    assert device.files() == []
    device.unlock(sealed.path, sealed.pins)
    assert device.ids(sealed.images) == sealed.pins


def test_one_whose_name_goes_to_another_file_is_the_one_that_was_opened(
    device: Device, sealed: Sealed, archive: Path
) -> None:
    newer = archive.with_name("newer")
    newer.write_bytes(b"something else")
    device.unlock(archive, sealed.pins, source=Meanwhile(lambda: newer.rename(archive)))
    assert device.ids(sealed.images) == sealed.pins
    assert archive.read_bytes() == b"something else"


def test_one_that_grows_is_refused(device: Device, sealed: Sealed, archive: Path) -> None:
    def grow() -> None:
        with archive.open("ab") as file:
            file.write(bytes(1 << 20))

    with pytest.raises(ArchiveDamagedError):
        device.unlock(archive, sealed.pins, source=Meanwhile(grow))
    assert device.files() == []


def test_one_on_a_medium_that_fails_is_unreadable(
    device: Device, small_disk: SmallDisk, tmp_path: Path
) -> None:
    """The disk's own image is cut off below it: its blocks are gone, and the kernel says EIO."""
    large = make_sealed(tmp_path / "large", "1.0.0", NAMES, filler_bytes=8 << 20)
    path, image = small_disk.path / "release.cbc", small_disk.path.with_name("image")
    path.write_bytes(large.path.read_bytes())
    subprocess.run(["umount", small_disk.path], check=True)  # so that nothing of the file is in memory
    subprocess.run(["mount", "-o", "loop", image, small_disk.path], check=True)
    with pytest.raises(ArchiveUnreadableError, match="Input/output error"):
        device.unlock(path, large.pins, source=Meanwhile(lambda: os.truncate(image, 1 << 20)))
    assert device.files() == []
    device.unlock(large.path, large.pins)
    assert device.ids(large.images) == large.pins
