"""What every engine promises about layers: which may be left out of a tar, and how they may be compressed."""

from __future__ import annotations

import pytest

from binary_split.engines import LayerReuse, LoadStep
from binary_split.errors import EngineLoadError, ImageIncompleteError
from binary_split.oci.compression import Compression
from tests.archives import Sealed
from tests.engines.conftest import Kind, wait_for_none
from tests.engines.tars import take_apart, write_tar

FORMS_WITHOUT_DOCKER_MANIFEST = {LayerReuse.IMAGE, LayerReuse.BLOB}


def test_layers_that_the_engine_has_may_be_left_out_as_it_says(kind: Kind, release: Sealed) -> None:
    one, two = take_apart(release.tar).values()
    reuse = kind.engine.describe().reuse
    shared = [layer for layer, other in zip(one.layers, two.layers, strict=True) if layer == other][:2]
    assert one.layers[:2] == tuple(shared)
    has_manifest = reuse not in FORMS_WITHOUT_DOCKER_MANIFEST
    kind.engine.load(iter([write_tar([one], has_docker_manifest=has_manifest or reuse is LayerReuse.NONE)]))
    lean = write_tar([two], left_out=shared, has_docker_manifest=has_manifest)
    if reuse is LayerReuse.NONE:
        with pytest.raises(EngineLoadError):
            kind.engine.load(iter([lean]))
        assert kind.engine.find_image(two.ref) is None
        return
    kind.engine.load(iter([lean]))
    found = kind.engine.find_image(two.ref)
    assert found is not None
    assert found.diff_ids == kind.read(release.tar)[two.ref].diff_ids
    kind.engine.verify_unpacked(two.ref)
    kind.other.load(kind.engine.save([two.ref]))
    assert kind.other.find_image(two.ref) == found


def test_of_several_images_in_one_tar_layers_may_be_left_out(
    kind: Kind, release: Sealed, changed_release: Sealed
) -> None:
    if kind.engine.describe().reuse is not LayerReuse.CHAIN:
        return  # it does not say so
    kind.engine.load(iter([release.tar.read_bytes()]))
    images = take_apart(changed_release.tar)
    has = {layer for image in take_apart(release.tar).values() for layer in image.layers[:2]}
    kind.engine.load(iter([write_tar(images.values(), left_out=has)]))
    assert {ref: kind.engine.find_image(ref) for ref in images} == kind.read(changed_release.tar)
    kind.other.load(kind.engine.save(images))
    assert {ref: kind.other.find_image(ref) for ref in images} == kind.read(changed_release.tar)


@pytest.mark.fault(45)
@pytest.mark.parametrize("position", [0, -1], ids=["lowest", "highest"])
def test_a_layer_that_is_nowhere_is_an_error(kind: Kind, release: Sealed, position: int) -> None:
    image = next(iter(take_apart(release.tar).values()))
    lean = write_tar(
        [image],
        left_out=[image.layers[position]],
        has_docker_manifest=kind.engine.describe().reuse not in FORMS_WITHOUT_DOCKER_MANIFEST,
    )
    with pytest.raises((EngineLoadError, ImageIncompleteError)):  # noqa: PT012 - either may say so
        kind.engine.load(iter([lean]))
        kind.engine.verify_unpacked(image.ref)
    kind.engine.untag(image.ref)
    assert wait_for_none(kind.leftovers) == []


@pytest.mark.parametrize("compression", list(Compression), ids=lambda one: one.name.lower())
def test_layers_are_taken_in_every_compression_that_the_engine_names(
    kind: Kind, release: Sealed, compression: Compression
) -> None:
    description = kind.engine.describe()
    assert {Compression.NONE, Compression.GZIP} <= description.compressions
    if compression not in description.compressions:
        return  # it may take it, but does not say so
    image = next(iter(take_apart(release.tar).values()))
    kind.engine.load(iter([write_tar([image], compression=compression)]))
    found = kind.engine.find_image(image.ref)
    assert found is not None
    assert found.diff_ids == kind.read(release.tar)[image.ref].diff_ids
    kind.engine.verify_unpacked(image.ref)


def test_what_the_engine_says_of_its_progress_makes_sense(kind: Kind, release: Sealed) -> None:
    steps: list[LoadStep] = []
    kind.engine.load(iter([release.tar.read_bytes()]), report=steps.append)
    assert all(step.layer and 0 <= step.done <= step.total for step in steps)
    description = kind.engine.describe()
    if description.kind == "docker":
        layers = {step.layer for step in steps}
        diff_ids = {digest.hex for image in kind.read(release.tar).values() for digest in image.diff_ids}
        assert all(any(digest.startswith(layer) for digest in diff_ids) for layer in layers)
        assert bool(layers) is (description.store != "containerd")  # that one says nothing of it
