"""The bundle that unlocking is measured on is what it is said to be, at any size."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bed.bundle import make_bundle, write_bundle
from bed.layers import Layer
from bed.release import Image
from binary_split.config import API_SERVICES, MIB

SIZE = 4 * MIB


def layers_of(images: list[Image]) -> dict[str, Layer]:
    return {layer.diff_id: layer for image in images for layer in image.layers}


def size_of(layers: dict[str, Layer]) -> int:
    return sum(layer.size for layer in layers.values())


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> list[Image]:
    return make_bundle(tmp_path_factory.mktemp("old"), "1.0.0", size=SIZE)


def test_a_bundle_has_every_image_of_a_release(old: list[Image]) -> None:
    assert sorted(image.name for image in old) == sorted(API_SERVICES)


def test_images_share_layers_and_each_is_written_once(old: list[Image]) -> None:
    named = sum(layer.size for image in old for layer in image.layers)
    assert named > 2 * size_of(layers_of(old))


def test_a_new_version_has_four_percent_of_new_bytes(old: list[Image], tmp_path: Path) -> None:
    new = layers_of(make_bundle(tmp_path, "1.1.0", size=SIZE))
    changed = {name: layer for name, layer in new.items() if name not in layers_of(old)}
    assert len(changed) == len(API_SERVICES)
    assert 0.03 < size_of(changed) / size_of(new) < 0.08  # tar's own headers weigh more in a small one


def test_the_same_bundle_is_the_same_bytes(old: list[Image], tmp_path: Path) -> None:
    write_bundle(tmp_path / "one.tar", old)
    again = tmp_path / "again"
    again.mkdir()
    write_bundle(tmp_path / "two.tar", make_bundle(again, "1.0.0", size=SIZE))
    one, two = (hashlib.sha256((tmp_path / name).read_bytes()) for name in ("one.tar", "two.tar"))
    assert one.digest() == two.digest()
