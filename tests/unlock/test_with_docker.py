"""An unlock into a real Docker engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from binary_split.engines import Engine, open_engine
from binary_split.errors import ArchiveDamagedError, BinarySplitError, ImageMismatchError, ImageMissingError
from binary_split.model import Digest
from binary_split.unlock.journal import Journal
from binary_split.unlock.order import UnlockOrder, UnlockResult
from binary_split.unlock.pipeline import unlock
from tests.archives import Fragments, NoFragments, Sealed, encrypt, flip_bit, make_sealed, parse_pins, retag
from tests.canary import assert_in_no_file, canary_of
from tests.engines.conftest import wait_for_none
from tests.unlock.conftest import NAMES
from tests.unlock.test_pipeline import regions


@pytest.fixture
def engine(fresh_device: PrivateDockerd, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
    return open_engine("docker")


def run(engine: Engine, archive: Path, sealed: Sealed, *, pins: bool = True) -> UnlockResult:
    order = UnlockOrder(archive, sealed.images, sealed.pins if pins else None)
    return unlock(order, engine, Fragments(), journal_of(engine))


def journal_of(engine: Engine) -> Journal:
    """Return the journal beside a private engine's socket."""
    description = engine.describe()
    return Journal(Path(description.address.removeprefix("unix://")).parent / "state", description)


def all_images(device: PrivateDockerd) -> list[str]:
    return sorted(image["Id"] for image in device.ask("GET", "/images/json?all=1"))


@pytest.mark.fault(47)
@pytest.mark.parametrize("style", ["oci", "classic"])
def test_every_image_is_there_and_a_second_unlock_asks_for_nothing(
    engine: Engine, fresh_device: PrivateDockerd, sealed: Sealed, classic: Sealed, style: str
) -> None:
    release = sealed if style == "oci" else classic
    result = run(engine, release.path, release)
    assert set(result.loaded) == set(release.images)
    assert parse_pins(fresh_device.image_ids()) == release.pins
    before = all_images(fresh_device)
    order = UnlockOrder(release.path, release.images, release.pins)
    again = unlock(order, engine, NoFragments(), journal_of(engine))
    assert again.loaded == ()
    assert all_images(fresh_device) == before


def test_an_upgrade_adds_and_keeps_what_was_there(
    engine: Engine, fresh_device: PrivateDockerd, sealed: Sealed, tmp_path: Path
) -> None:
    newer = make_sealed(tmp_path, "1.1.0", NAMES)
    run(engine, sealed.path, sealed)
    run(engine, newer.path, newer)
    assert parse_pins(fresh_device.image_ids()) == {**sealed.pins, **newer.pins}


@pytest.mark.fault(5, 48)
def test_damage_in_any_region_loads_nothing_and_good_input_then_unlocks(
    engine: Engine, fresh_device: PrivateDockerd, sealed: Sealed, tmp_path: Path
) -> None:
    older = make_sealed(tmp_path / "older", "0.9.0", NAMES, seed=7)  # no layer in common: all are read
    run(engine, older.path, older)
    before = all_images(fresh_device)
    path = tmp_path / "damaged.cbc"
    for position in regions(sealed).values():
        path.write_bytes(flip_bit(sealed.path.read_bytes(), position, 6))
        with pytest.raises(ArchiveDamagedError):
            run(engine, path, sealed)
        assert all_images(fresh_device) == before
    assert wait_for_none(lambda: [str(folder) for folder in fresh_device.leftovers()]) == []
    assert_in_no_file(map(canary_of, sealed.images), journal_of(engine).folder, fresh_device.data_root)
    assert parse_pins(fresh_device.image_ids()) == older.pins
    run(engine, sealed.path, sealed)
    assert parse_pins(fresh_device.image_ids()) == {**older.pins, **sealed.pins}


@pytest.mark.fault(23)
def test_images_that_are_not_the_releases_are_refused_before_loading(
    engine: Engine, fresh_device: PrivateDockerd, sealed: Sealed, tmp_path: Path
) -> None:
    tar = retag(sealed.tar, tmp_path / "extra.tar", str(sealed.images[0]), more="alpine:latest")
    extra = tmp_path / "extra.cbc"
    extra.write_bytes(encrypt(tar.read_bytes()))
    other = make_sealed(tmp_path / "other", "1.1.0", NAMES)
    wrong_pin = Sealed(sealed.tar, sealed.path, {**sealed.pins, sealed.images[0]: Digest("0" * 64)})
    refusals: list[tuple[Path, Sealed, type[BinarySplitError]]] = [
        (extra, sealed, ImageMismatchError),
        (other.path, sealed, ImageMissingError),
        (sealed.path, wrong_pin, ImageMismatchError),
    ]
    for archive, release, kind in refusals:
        with pytest.raises(kind):
            run(engine, archive, release)
        assert all_images(fresh_device) == []
    run(engine, sealed.path, sealed)
    assert parse_pins(fresh_device.image_ids()) == sealed.pins


@pytest.mark.fault(5)
def test_unauthenticated_still_catches_a_damaged_layer(
    engine: Engine, fresh_device: PrivateDockerd, sealed: Sealed, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.cbc"
    path.write_bytes(flip_bit(sealed.path.read_bytes(), regions(sealed)["layer, its last block"]))
    with pytest.raises(ArchiveDamagedError):
        run(engine, path, sealed, pins=False)
    assert all_images(fresh_device) == []
    run(engine, sealed.path, sealed, pins=False)
    assert parse_pins(fresh_device.image_ids()) == sealed.pins
