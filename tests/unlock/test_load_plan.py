"""What counts as being in an engine that keeps blobs: only what is known, never what may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from binary_split.engines import EngineDescription, EngineImage, IdKind, LayerReuse
from binary_split.engines.oci_folder import OciFolder
from binary_split.model import Digest, ImageRef
from binary_split.unlock.checking import ExpectedImage
from binary_split.unlock.load_plan import known_blobs

CONFIG, MANIFEST, OTHER = (Digest(digit * 64) for digit in "abc")
LAYERS = (Digest("1" * 64), Digest("2" * 64))
SENT = ExpectedImage(ImageRef("azaion/flights", "1.0.0"), CONFIG, MANIFEST, LAYERS, LAYERS)


class Engine(OciFolder):
    """An engine that keeps blobs, with one image: the rule is tested here, not the engine."""

    def __init__(self, found: EngineImage) -> None:
        super().__init__(Path("/nowhere"))
        self.found = found

    def describe(self) -> EngineDescription:
        return EngineDescription("docker", "28", "containerd", "x", IdKind.MANIFEST, LayerReuse.BLOB)

    def list_images(self) -> tuple[EngineImage, ...]:
        return (self.found,)


@pytest.mark.parametrize(
    ("found", "is_known"),
    [
        (EngineImage(MANIFEST, LAYERS), True),
        (EngineImage(MANIFEST, ()), False),
        (EngineImage(MANIFEST, LAYERS[:1]), False),
        (EngineImage(OTHER, LAYERS), False),
    ],
    ids=["the image that was sent", "a blob is missing", "another stack", "another manifest"],
)
def test_blobs_are_known_by_a_whole_image_under_the_manifest_that_was_sent(
    found: EngineImage, is_known: bool
) -> None:
    assert known_blobs(Engine(found), [SENT]) == (set(LAYERS) if is_known else set())
