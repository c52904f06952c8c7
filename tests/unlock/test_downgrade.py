"""An older release than the installed one is refused, and only because somebody said so is it taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from binary_split.engines.oci_folder import OciFolder
from binary_split.errors import DowngradeError, SignatureUntrustedError
from binary_split.oci.publisher_key import PublicKey
from binary_split.unlock.journal import Journal
from binary_split.unlock.opening import Trust
from binary_split.unlock.order import FragmentSource, UnlockOrder, UnlockResult
from binary_split.unlock.pipeline import unlock
from tests.archives import Fragments, NoFragments
from tests.releases import KEY, OTHER_KEY, TRUST, AgeRelease, make_age_release


class Device:
    def __init__(self, folder: Path) -> None:
        self.engine = OciFolder(folder / "engine")
        self.journal = Journal(folder / "state", self.engine.describe())

    def unlock(
        self,
        release: AgeRelease,
        source: FragmentSource | None = None,
        *,
        allow_downgrade: bool = False,
        trust: Trust = TRUST,
        version: str | None = None,
    ) -> UnlockResult:
        order = UnlockOrder(release.path, (), None, version, trust=trust, allow_downgrade=allow_downgrade)
        return unlock(order, self.engine, source or Fragments(), self.journal)

    def has(self, release: AgeRelease) -> bool:
        return all(self.engine.find_image(ref) for ref in release.images)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


@pytest.fixture
def old(tmp_path: Path) -> AgeRelease:
    return make_age_release(tmp_path / "old", "1.0.0", sequence=7)


@pytest.fixture
def new(tmp_path: Path) -> AgeRelease:
    return make_age_release(tmp_path / "new", "1.1.0", sequence=8)


@pytest.mark.fault(24)
def test_an_older_release_is_refused_and_nothing_of_it_loaded(
    device: Device, old: AgeRelease, new: AgeRelease
) -> None:
    device.unlock(new)
    with pytest.raises(DowngradeError, match=r"1\.0\.0 is older than 1\.1\.0"):
        device.unlock(old)
    assert not device.has(old)
    assert device.unlock(new, NoFragments()).loaded == ()


@pytest.mark.fault(24)
def test_it_is_refused_too_where_its_images_are_still_there(
    device: Device, old: AgeRelease, new: AgeRelease
) -> None:
    device.unlock(old)
    device.unlock(new)
    with pytest.raises(DowngradeError):
        device.unlock(old, NoFragments())


@pytest.mark.fault(24)
def test_it_is_taken_where_that_is_allowed_and_counts_from_then_on(
    device: Device, old: AgeRelease, new: AgeRelease, tmp_path: Path
) -> None:
    device.unlock(new)
    device.unlock(old, allow_downgrade=True)
    assert device.has(old)
    between = make_age_release(tmp_path / "between", "1.0.1", sequence=7)
    device.unlock(between)
    assert device.has(between)


def test_the_same_sequence_and_a_larger_one_are_no_downgrade(
    device: Device, old: AgeRelease, new: AgeRelease
) -> None:
    device.unlock(old)
    device.unlock(old)
    device.unlock(new)
    assert device.has(new)


class TestWithoutAFragment:
    def test_what_is_there_is_known_from_the_journal(self, device: Device, old: AgeRelease) -> None:
        device.unlock(old)
        result = device.unlock(old, NoFragments())
        assert {image.ref: image.config_digest for image in result.images} == old.pins

    def test_a_statement_that_is_no_longer_trusted_is_not_believed(
        self, device: Device, old: AgeRelease
    ) -> None:
        device.unlock(old)
        with pytest.raises(SignatureUntrustedError):
            device.unlock(old, trust=_only(OTHER_KEY.public_key))
        device.unlock(old, NoFragments(), trust=_only(OTHER_KEY.public_key, KEY.public_key))

    def test_another_version_than_the_one_asked_for_is_not_it(self, device: Device, old: AgeRelease) -> None:
        device.unlock(old)
        with pytest.raises(AssertionError):  # of a source that must not be asked
            device.unlock(old, NoFragments(), version="1.1.0")

    def test_an_image_that_is_gone_is_loaded_again(self, device: Device, old: AgeRelease) -> None:
        device.unlock(old)
        device.engine.untag(old.images[0])
        result = device.unlock(old)
        assert result.loaded == (old.images[0],)
        assert device.has(old)


def _only(*keys: PublicKey) -> Trust:
    return Trust(keys)
