"""When an engine's image counts as the release's, for both kinds of image id."""

from __future__ import annotations

from pathlib import Path

import pytest

from binary_split.engines import EngineDescription, EngineImage, IdKind
from binary_split.engines.oci_folder import OciFolder
from binary_split.errors import ImageMismatchError, ImageMissingError
from binary_split.model import Digest, ImageRef
from binary_split.unlock.checking import ExpectedImage, find_lacking, verify_images

REF = ImageRef.parse("azaion/flights:1.0.0")
CONFIG, MANIFEST, OTHER = (Digest(digit * 64) for digit in "abc")
LAYERS = (Digest("1" * 64), Digest("2" * 64))
EXPECTED = ExpectedImage(REF, CONFIG, MANIFEST, LAYERS)


@pytest.mark.parametrize(
    ("id_kind", "found_id", "is_met"),
    [
        (IdKind.CONFIG, CONFIG, True),
        (IdKind.CONFIG, MANIFEST, False),
        (IdKind.CONFIG, OTHER, False),
        (IdKind.MANIFEST, MANIFEST, True),
        (IdKind.MANIFEST, CONFIG, False),
        (IdKind.MANIFEST, OTHER, False),
    ],
)
def test_the_id_must_be_the_one_of_its_kind(id_kind: IdKind, found_id: Digest, is_met: bool) -> None:
    assert EXPECTED.is_met_by(EngineImage(found_id, LAYERS), id_kind) is is_met


@pytest.mark.parametrize("id_kind", list(IdKind))
@pytest.mark.parametrize("layers", [(), LAYERS[:1], LAYERS[::-1], (*LAYERS, OTHER)], ids=len)
def test_the_layers_must_be_the_same_in_the_same_order(id_kind: IdKind, layers: tuple[Digest, ...]) -> None:
    right_id = CONFIG if id_kind is IdKind.CONFIG else MANIFEST
    assert not EXPECTED.is_met_by(EngineImage(right_id, layers), id_kind)


def test_a_pin_alone_proves_the_image_where_ids_are_config_digests() -> None:
    pinned = ExpectedImage(REF, CONFIG)
    assert pinned.is_met_by(EngineImage(CONFIG, LAYERS), IdKind.CONFIG)
    assert not pinned.is_met_by(EngineImage(OTHER, LAYERS), IdKind.CONFIG)


def test_a_pin_alone_proves_nothing_where_ids_are_manifest_digests() -> None:
    assert not ExpectedImage(REF, CONFIG).is_met_by(EngineImage(CONFIG, LAYERS), IdKind.MANIFEST)
    assert not ExpectedImage(REF, CONFIG).is_met_by(EngineImage(MANIFEST, LAYERS), IdKind.MANIFEST)


@pytest.mark.parametrize("id_kind", list(IdKind))
def test_with_nothing_known_the_name_is_enough(id_kind: IdKind) -> None:
    assert ExpectedImage(REF).is_met_by(EngineImage(OTHER, ()), id_kind)


class Engine(OciFolder):
    """An engine with one image or none: the rules are tested here, not the engine."""

    def __init__(self, image: EngineImage | None, id_kind: IdKind = IdKind.CONFIG) -> None:
        super().__init__(Path("/nowhere"))
        self._image = image
        self._id_kind = id_kind

    def describe(self) -> EngineDescription:
        return EngineDescription("none", "0", "none", "nowhere", self._id_kind)

    def find_image(self, ref: ImageRef) -> EngineImage | None:
        return self._image if ref == REF else None


def test_what_is_absent_or_another_image_is_lacking() -> None:
    other = ExpectedImage(ImageRef.parse("azaion/other:1.0.0"))
    assert find_lacking(Engine(EngineImage(CONFIG, LAYERS)), [EXPECTED, other]) == [other]
    assert find_lacking(Engine(EngineImage(OTHER, LAYERS)), [EXPECTED]) == [EXPECTED]
    assert find_lacking(Engine(None), [EXPECTED]) == [EXPECTED]
    assert find_lacking(Engine(EngineImage(MANIFEST, LAYERS), IdKind.MANIFEST), [EXPECTED]) == []


def test_verifying_says_whether_it_is_absent_or_another() -> None:
    verify_images(Engine(EngineImage(CONFIG, LAYERS)), [EXPECTED])
    with pytest.raises(ImageMissingError, match=str(REF)):
        verify_images(Engine(None), [EXPECTED])
    with pytest.raises(ImageMismatchError, match=str(OTHER)):
        verify_images(Engine(EngineImage(OTHER, LAYERS)), [EXPECTED])
    with pytest.raises(ImageMismatchError):
        verify_images(Engine(EngineImage(CONFIG, LAYERS[:1])), [EXPECTED])
