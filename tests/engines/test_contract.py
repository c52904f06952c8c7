"""What every engine promises, asked of each of them for real."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from binary_split.engines import Abort, IdKind
from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveFormatError,
    BinarySplitError,
    EngineAbortedError,
    EngineLoadError,
    ImageMissingError,
)
from binary_split.model import ImageRef
from tests.archives import Sealed
from tests.engines.conftest import Kind, wait_for_none

CHUNK = 64 * 1024


def chunks_of(tar: Path) -> Iterator[bytes]:
    with tar.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def fail_after(tar: Path, error: BaseException, *, chunks: int) -> Iterator[bytes]:
    for number, chunk in enumerate(chunks_of(tar)):
        if number == chunks:
            raise error
        yield chunk


def test_loaded_images_are_found_by_id_and_diff_ids(kind: Kind, release: Sealed) -> None:
    kind.engine.load(chunks_of(release.tar))
    for ref, image in kind.read(release.tar).items():
        assert kind.engine.find_image(ref) == image


def test_a_reference_that_is_not_there_is_none(kind: Kind, release: Sealed) -> None:
    assert kind.engine.find_image(ImageRef.parse("contract/one:2.0.0")) is None
    kind.engine.load(chunks_of(release.tar))
    for text in ("contract/one:2.0.1", "contract/three:2.0.0", "one:2.0.0", "2.0.0:2.0.0"):
        assert kind.engine.find_image(ImageRef.parse(text)) is None


def test_saved_images_load_into_another_instance_and_are_the_same(kind: Kind, release: Sealed) -> None:
    kind.engine.load(chunks_of(release.tar))
    kind.other.load(kind.engine.save(release.images))
    for ref in release.images:
        found = kind.other.find_image(ref)
        assert found is not None
        assert found == kind.engine.find_image(ref)


def test_one_of_two_images_is_saved_alone(kind: Kind, release: Sealed) -> None:
    kind.engine.load(chunks_of(release.tar))
    wanted, unwanted = release.images
    kind.other.load(kind.engine.save([wanted]))
    assert kind.other.find_image(wanted) == kind.engine.find_image(wanted)
    assert kind.other.find_image(unwanted) is None


def test_save_takes_references_from_an_iterator(kind: Kind, release: Sealed) -> None:
    kind.engine.load(chunks_of(release.tar))
    kind.other.load(kind.engine.save(iter(release.images)))
    assert all(kind.other.find_image(ref) for ref in release.images)


@pytest.mark.fault(45)
@pytest.mark.parametrize("kept", [1, 512, 700_000, 1_600_000], ids=lambda kept: f"{kept} bytes")
def test_a_cut_off_tar_raises_and_leaves_nothing(kind: Kind, release: Sealed, kept: int) -> None:
    cut = release.tar.read_bytes()[:kept]
    with pytest.raises(EngineLoadError):
        kind.engine.load(iter([cut]))
    assert wait_for_none(kind.leftovers) == []
    assert kind.engine.find_image(release.images[0]) is None


class Interrupt(BaseException):
    """Like KeyboardInterrupt, which pytest would take for itself."""


@pytest.mark.parametrize(
    "error",
    [ArchiveDamagedError(), ArchiveFormatError("no"), OSError("disk"), ValueError("bad"), Interrupt()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("chunks", [0, 12])
def test_an_error_of_the_chunks_comes_out_as_it_is_and_leaves_nothing(
    kind: Kind, release: Sealed, error: BaseException, chunks: int
) -> None:
    with pytest.raises(type(error)) as caught:
        kind.engine.load(fail_after(release.tar, error, chunks=chunks))
    assert caught.value is error
    assert wait_for_none(kind.leftovers) == []
    kind.engine.load(chunks_of(release.tar))
    assert {ref: kind.engine.find_image(ref) for ref in release.images} == kind.read(release.tar)


def test_loading_twice_changes_nothing(kind: Kind, release: Sealed) -> None:
    kind.engine.load(chunks_of(release.tar))
    before = kind.images()
    kind.engine.load(chunks_of(release.tar))
    assert kind.images() == before
    assert {ref: kind.engine.find_image(ref) for ref in release.images} == kind.read(release.tar)


def test_empty_chunks_do_not_end_a_load(kind: Kind, release: Sealed) -> None:
    kind.engine.load(part for chunk in chunks_of(release.tar) for part in (b"", chunk, memoryview(b"")))
    assert all(kind.engine.find_image(ref) for ref in release.images)


def test_saving_an_image_that_is_not_there_says_which(kind: Kind, release: Sealed) -> None:
    kind.engine.load(chunks_of(release.tar))
    absent = ImageRef.parse("contract/three:2.0.0")
    with pytest.raises(ImageMissingError, match=re.escape(str(absent))):
        list(kind.engine.save([*release.images, absent]))
    with pytest.raises(ImageMissingError, match=re.escape(str(absent))):
        list(kind.engine.save(iter([*release.images, absent])))


def test_the_engine_describes_itself(kind: Kind) -> None:
    description = kind.engine.describe()
    assert description.kind in {"docker", "podman", "oci"}
    assert description.version[0].isdigit()
    assert description.store
    assert description.address
    machine = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(platform.machine())
    assert description.platform == (None if description.kind == "oci" else machine)
    assert description.id_kind is (IdKind.MANIFEST if description.store == "containerd" else IdKind.CONFIG)
    assert str(description) == (
        f"{description.kind} {description.version} ({description.store}) at {description.address}"
    )


def test_a_load_moves_a_reference_to_the_new_image(
    kind: Kind, release: Sealed, changed_release: Sealed
) -> None:
    kind.engine.load(chunks_of(release.tar))
    kind.engine.load(chunks_of(changed_release.tar))
    found = {ref: kind.engine.find_image(ref) for ref in changed_release.images}
    assert found == kind.read(changed_release.tar) != kind.read(release.tar)


def test_what_is_no_tar_is_refused_by_name(kind: Kind) -> None:
    with pytest.raises(BinarySplitError):
        kind.engine.load(iter([b"this is no tar" * 1000]))
    assert wait_for_none(kind.leftovers) == []


class TestReferences:
    def test_the_list_holds_every_image_with_its_references(self, kind: Kind, release: Sealed) -> None:
        assert kind.engine.list_images() == ()
        kind.engine.load(chunks_of(release.tar))
        expected = {image.id: (ref,) for ref, image in kind.read(release.tar).items()}
        for _round in range(2):  # what is remembered of the first must be right too
            listed = kind.engine.list_images()
            assert {image.id: image.refs for image in listed} == expected
            for image in listed:
                found = kind.engine.find_image(image.refs[0])
                assert found is not None
                assert found.diff_ids == image.diff_ids

    def test_a_tag_names_the_same_image(self, kind: Kind, release: Sealed) -> None:
        kind.engine.load(chunks_of(release.tar))
        source, target = release.images[0], ImageRef.parse("contract-staging/x:7")
        kind.engine.tag(source, target)
        assert kind.engine.find_image(target) == kind.engine.find_image(source) is not None
        image = next(image for image in kind.engine.list_images() if source in image.refs)
        assert image.refs == tuple(sorted([source, target]))

    def test_a_tag_moves_a_reference(self, kind: Kind, release: Sealed) -> None:
        kind.engine.load(chunks_of(release.tar))
        one, two = release.images
        kind.engine.tag(one, two)
        assert kind.engine.find_image(two) == kind.engine.find_image(one) == kind.read(release.tar)[one]
        kind.engine.tag(one, one)
        assert kind.engine.find_image(one) == kind.read(release.tar)[one]

    def test_tagging_an_image_that_is_not_there_says_so(self, kind: Kind, release: Sealed) -> None:
        absent = ImageRef.parse("contract/three:2.0.0")
        with pytest.raises(ImageMissingError, match=re.escape(str(absent))):
            kind.engine.tag(absent, release.images[0])
        assert kind.engine.find_image(release.images[0]) is None

    def test_removing_all_references_leaves_nothing(self, kind: Kind, release: Sealed) -> None:
        before = kind.leftovers()
        kind.engine.load(chunks_of(release.tar))
        other = ImageRef.parse("contract-staging/x:7")
        kind.engine.tag(release.images[0], other)
        for ref in release.images:
            kind.engine.untag(ref)
            assert kind.engine.find_image(ref) is None
        assert kind.engine.find_image(other) == kind.read(release.tar)[release.images[0]]
        kind.engine.untag(other)
        assert kind.engine.list_images() == ()
        assert wait_for_none(lambda: [left for left in kind.blobs() if left not in before]) == []

    def test_removing_one_image_leaves_the_layers_that_another_needs(
        self, kind: Kind, release: Sealed
    ) -> None:
        kind.engine.load(chunks_of(release.tar))
        one, two = release.images
        kind.engine.untag(one)
        kind.engine.verify_unpacked(two)
        kind.other.load(kind.engine.save([two]))
        assert kind.other.find_image(two) == kind.read(release.tar)[two]

    def test_removing_what_is_not_there_is_no_error(self, kind: Kind, release: Sealed) -> None:
        kind.engine.untag(release.images[0])
        kind.engine.load(chunks_of(release.tar))
        kind.engine.untag(ImageRef.parse("contract/three:2.0.0"))
        assert {ref: kind.engine.find_image(ref) for ref in release.images} == kind.read(release.tar)

    def test_an_unpacked_image_is_verified_and_leaves_no_trace(self, kind: Kind, release: Sealed) -> None:
        kind.engine.load(chunks_of(release.tar))
        before = kind.images()
        for ref in release.images:
            kind.engine.verify_unpacked(ref)
        assert kind.images() == before
        with pytest.raises(ImageMissingError):
            kind.engine.verify_unpacked(ImageRef.parse("contract/three:2.0.0"))


class TestAborting:
    def test_an_abort_ends_a_load_whose_chunks_go_on(self, kind: Kind, release: Sealed) -> None:
        abort = Abort()
        content = release.tar.read_bytes()

        def chunks() -> Iterator[bytes]:
            yield content[:CHUNK]
            abort.set()
            while True:
                yield content[CHUNK : 2 * CHUNK]

        with pytest.raises(EngineAbortedError):
            kind.engine.load(chunks(), abort=abort)
        assert wait_for_none(kind.leftovers) == []

    def test_an_abort_that_is_set_already_loads_nothing(self, kind: Kind, release: Sealed) -> None:
        abort = Abort()
        abort.set()
        with pytest.raises(EngineAbortedError):
            kind.engine.load(chunks_of(release.tar), abort=abort)
        assert kind.engine.list_images() == ()
        assert wait_for_none(kind.leftovers) == []


def test_loads_side_by_side_are_all_there(kind: Kind, release: Sealed, changed_release: Sealed) -> None:
    one, two = release.images
    kind.other.load(chunks_of(release.tar))
    singles = [b"".join(kind.other.save([ref])) for ref in (one, two)]
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(kind.engine.load, iter([tar])) for tar in singles * 2]:
            done.result(60)
    assert {ref: kind.engine.find_image(ref) for ref in release.images} == kind.read(release.tar)
    for ref in release.images:
        kind.engine.verify_unpacked(ref)
