"""An unlock into every engine: a release, its upgrade by what is new, nothing again, and nothing left."""

from __future__ import annotations

from pathlib import Path

import pytest

from binary_split.engines import LayerReuse
from binary_split.model import ImageRef
from binary_split.oci.compression import Compression
from binary_split.unlock.journal import Journal
from binary_split.unlock.order import FragmentSource, UnlockOrder, UnlockResult
from binary_split.unlock.pipeline import unlock
from binary_split.unlock.proving import choose_installed, prove_installed
from binary_split.unlock.pruning import prune
from tests.archives import Fragments, NoFragments
from tests.engines.conftest import Kind
from tests.releases import TRUST, AgeRelease, make_age_release

pytestmark = pytest.mark.slow
NAMES = ("azaion/flights", "azaion/autopilot", "azaion/detections")


@pytest.fixture(scope="module", params=list(Compression), ids=lambda kind: kind.name.lower())
def releases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[AgeRelease, AgeRelease]:
    """Two releases that share half of their bytes, in each compression."""
    folder = tmp_path_factory.mktemp("releases")
    old, new = (
        make_age_release(
            folder / version,
            version,
            names=NAMES,
            filler_bytes=3_000_000,
            filler_kind="zeros" if request.param is not Compression.NONE else "random",
            compression=request.param,
            sequence=sequence,
        )
        for sequence, version in enumerate(("1.0.0", "1.1.0"))
    )
    return old, new


class Device:
    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind = kind
        self.engine = kind.engine
        self.journal = Journal(folder, self.engine.describe())

    def unlock(self, release: AgeRelease, source: FragmentSource | None = None) -> UnlockResult:
        order = UnlockOrder(release.path, (), None, None, trust=TRUST)
        return unlock(order, self.engine, source or Fragments(), self.journal)

    def refs(self) -> set[ImageRef]:
        return {ref for image in self.engine.list_images() for ref in image.refs}


@pytest.fixture
def device(kind: Kind, tmp_path: Path) -> Device:
    return Device(kind, tmp_path / "state")


def test_an_upgrade_sends_what_is_new_and_a_prune_leaves_nothing_of_the_old(
    device: Device, releases: tuple[AgeRelease, AgeRelease]
) -> None:
    old, new = releases
    first = device.unlock(old)
    assert set(first.loaded) == set(old.images)
    second = device.unlock(new)
    assert set(second.loaded) == set(new.images)
    if device.engine.describe().reuse is not LayerReuse.NONE:
        assert second.sent_bytes < first.sent_bytes
    assert device.refs() == {*old.images, *new.images}
    again = device.unlock(new, NoFragments())
    assert (again.loaded, {image.ref: image.config_digest for image in again.images}) == ((), new.pins)
    release = choose_installed(device.journal.read_releases(), product=None, version=None, trust=TRUST)
    prove_installed(device.engine, release, deep=True)
    prune(device.engine, device.journal, keep=1)
    assert device.refs() == set(new.images)
    prove_installed(device.engine, release, deep=True)


def test_an_image_that_somebody_removed_is_loaded_again(
    device: Device, releases: tuple[AgeRelease, AgeRelease]
) -> None:
    release = releases[0]
    device.unlock(release)
    device.engine.untag(release.images[0])
    assert device.unlock(release).loaded == (release.images[0],)
    assert device.refs() == set(release.images)
