"""What an unlock does with good input and with bad, on an engine that is a folder."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveUnreadableError,
    BinarySplitError,
    ImageMismatchError,
    ImageMissingError,
    TokenRejectedError,
)
from binary_split.model import Digest, Fragment, ImageRef
from tests.archives import (
    BLOCK,
    FRAGMENT,
    Fragments,
    NoFragments,
    Sealed,
    encrypt,
    find_lucky_fragment,
    flip_bit,
    forge_config,
    make_sealed,
    read_layout,
    read_manifest,
    retag,
    rewrite_tar,
)
from tests.unlock.conftest import NAMES, Device

FULL = ["checking", "authenticating", "downloading_key", "decrypting", "loading_images", "verifying", "ready"]
SAME_WORDS = "wrong fragment or damaged archive"


@pytest.fixture
def refused(sealed: Sealed, tmp_path: Path) -> Callable[..., BinarySplitError]:
    """Unlock what must be refused: nothing is loaded, and good input still unlocks afterwards."""

    def refuse(
        content: bytes, *, kind: type[BinarySplitError] = ArchiveDamagedError, fragment: bytes = FRAGMENT
    ) -> BinarySplitError:
        path = tmp_path / "bad.cbc"
        path.write_bytes(content)
        device = Device.of(Path(tempfile.mkdtemp(dir=tmp_path)))
        with pytest.raises(kind) as caught:
            device.unlock(path, sealed.pins, source=Fragments(fragment))
        assert device.steps()[-1] == "error"
        assert device.files() == []
        device.unlock(sealed.path, sealed.pins)
        assert device.ids(sealed.images) == sealed.pins
        return caught.value

    return refuse


class TestGoodInput:
    def test_every_image_is_there_and_proven(self, device: Device, sealed: Sealed) -> None:
        result = device.unlock(sealed.path, sealed.pins)
        assert device.ids(sealed.images) == sealed.pins
        assert set(result.loaded) == set(sealed.images)
        assert {image.ref: image.config_digest for image in result.images} == sealed.pins

    @pytest.mark.fault(18)
    def test_a_classic_save_with_aliased_layers_unlocks_too(self, device: Device, classic: Sealed) -> None:
        device.unlock(classic.path, classic.pins)
        assert device.ids(classic.images) == classic.pins

    def test_the_states_are_reported_in_their_order(self, device: Device, sealed: Sealed) -> None:
        device.unlock(sealed.path, sealed.pins)
        assert device.steps() == FULL

    def test_progress_grows_to_exactly_all(self, device: Device, sealed: Sealed) -> None:
        result = device.unlock(sealed.path, sealed.pins)
        counted = [step for step in device.progress if step.step == "loading_images" and step.total]
        assert [step.done for step in counted] == sorted(step.done for step in counted)
        assert {step.total for step in counted} == {2 * result.sent_bytes}
        assert counted[-1].done == 2 * result.sent_bytes

    @pytest.mark.fault(47)
    def test_nothing_is_done_or_asked_for_where_all_is_there(self, device: Device, sealed: Sealed) -> None:
        device.unlock(sealed.path, sealed.pins)
        before = device.files()
        result = device.unlock(sealed.path, sealed.pins, source=NoFragments())
        assert (result.loaded, result.sent_bytes) == ((), 0)
        assert device.steps() == ["checking", "ready"]
        assert device.files() == before

    def test_where_all_is_there_not_even_the_archive_is_needed(self, device: Device, sealed: Sealed) -> None:
        device.unlock(sealed.path, sealed.pins)
        device.unlock(Path("/nowhere"), sealed.pins, source=NoFragments())

    def test_only_the_lacking_images_are_sent(self, device: Device, sealed: Sealed, tmp_path: Path) -> None:
        one = make_sealed(tmp_path / "one", "1.0.0", NAMES)
        first = one.images[0]

        def keep_first(name: str, content: bytes) -> bytes:
            return content if name != "manifest.json" else _only(one.tar, first)

        single = tmp_path / "single.cbc"
        single.write_bytes(encrypt(rewrite_tar(one.tar, tmp_path / "single.tar", keep_first).read_bytes()))
        whole = device.unlock(single, {first: one.pins[first]}).sent_bytes
        result = device.unlock(sealed.path, sealed.pins)
        assert set(result.loaded) == set(sealed.images) - {first}
        assert 0 < result.sent_bytes < sealed.tar.stat().st_size
        assert whole > 0
        assert device.ids(sealed.images) == sealed.pins

    def test_another_image_under_the_name_is_replaced(
        self, device: Device, sealed: Sealed, tmp_path: Path
    ) -> None:
        other = make_sealed(tmp_path / "other", "1.0.0", NAMES, seed=7)
        device.unlock(other.path, other.pins)
        device.unlock(sealed.path, sealed.pins)
        assert device.ids(sealed.images) == sealed.pins != other.pins


def _only(tar: Path, ref: ImageRef) -> bytes:
    import json

    return json.dumps([row for row in read_manifest(tar) if str(ref) in row["RepoTags"]]).encode()


class TestBeforeAnythingIsRead:
    @pytest.mark.fault(25)
    @pytest.mark.parametrize("name", ["absent", "folder"])
    def test_an_archive_that_cannot_be_opened_asks_for_no_fragment(
        self, device: Device, sealed: Sealed, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "folder").mkdir()
        with pytest.raises(ArchiveUnreadableError):
            device.unlock(tmp_path / name, sealed.pins, source=NoFragments())
        assert device.steps() == ["checking", "error"]
        assert device.files() == []

    def test_what_the_key_service_says_comes_out(self, device: Device, sealed: Sealed) -> None:
        class Refusing(Fragments):
            def fetch(self) -> Fragment:
                raise TokenRejectedError("no")

        with pytest.raises(TokenRejectedError):
            device.unlock(sealed.path, sealed.pins, source=Refusing())
        assert device.steps()[-2:] == ["downloading_key", "error"]
        assert device.files() == []


class TestDamage:
    @pytest.mark.fault(1, 2, 3)
    @pytest.mark.parametrize("size", [0, 1, 15, 16, 31, 33, 47])
    def test_impossible_lengths(
        self, refused: Callable[..., BinarySplitError], sealed: Sealed, size: int
    ) -> None:
        assert SAME_WORDS in str(refused(sealed.path.read_bytes()[:size]))

    @pytest.mark.fault(4)
    def test_truncation_at_any_block(
        self, refused: Callable[..., BinarySplitError], sealed: Sealed, chance: random.Random
    ) -> None:
        content = sealed.path.read_bytes()
        for _ in range(10):
            error = refused(content[: 16 * chance.randrange(2, len(content) // 16)])
            assert str(error) == SAME_WORDS

    @pytest.mark.fault(4)
    def test_truncation_whose_padding_is_possible_by_chance(
        self, refused: Callable[..., BinarySplitError], sealed: Sealed
    ) -> None:
        tar = sealed.tar.read_bytes()
        middle = len(tar) // 2 // 16 * 16
        cut = encrypt(tar[:middle] + b"\x01" * 16)[:-BLOCK]  # ends in 0x01, as 1 in 250 cuts would
        assert str(refused(cut)) == SAME_WORDS

    @pytest.mark.fault(5)
    def test_a_flipped_bit_in_each_region(
        self, refused: Callable[..., BinarySplitError], sealed: Sealed
    ) -> None:
        content = sealed.path.read_bytes()
        for region, position in regions(sealed).items():
            for bit in (0, 6):
                error = refused(flip_bit(content, position, bit))
                assert (region, str(error)) == (region, SAME_WORDS)

    @pytest.mark.fault(5)
    def test_a_flipped_bit_anywhere_is_refused_or_harmless(
        self, sealed: Sealed, tmp_path: Path, chance: random.Random
    ) -> None:
        content = sealed.path.read_bytes()
        path = tmp_path / "flipped.cbc"
        refusals = 0
        for number in range(80):
            here = Device.of(tmp_path / str(number))
            path.write_bytes(flip_bit(content, chance.randrange(len(content)), chance.randrange(8)))
            try:
                here.unlock(path, sealed.pins)
            except (ArchiveDamagedError, ImageMismatchError, ImageMissingError):
                assert here.files() == []
                refusals += 1
            else:
                assert here.ids(sealed.images) == sealed.pins
        assert refusals > 50

    def test_bytes_appended_are_refused(
        self, refused: Callable[..., BinarySplitError], sealed: Sealed
    ) -> None:
        for appended in (b"x", bytes(16)):
            refused(sealed.path.read_bytes() + appended)

    def test_what_stands_behind_the_end_of_the_tar_is_not_loaded(
        self, device: Device, sealed: Sealed, tmp_path: Path
    ) -> None:
        other = make_sealed(tmp_path / "other", "9.9.9", NAMES)
        path = tmp_path / "two.cbc"
        path.write_bytes(encrypt(sealed.tar.read_bytes() + other.tar.read_bytes()))
        device.unlock(path, sealed.pins)
        assert device.ids(sealed.images) == sealed.pins
        assert device.ids(other.images) == {}


def regions(sealed: Sealed) -> dict[str, int]:
    """Return a position in the archive for each kind of content; block n+1 of it holds block n of the tar."""
    layout = read_layout(sealed.tar)
    manifest = read_manifest(sealed.tar)
    config, layer = layout[manifest[0]["Config"]], layout[manifest[0]["Layers"][1]]
    size = sealed.path.stat().st_size
    return {
        "iv": 3,
        "first tar header": BLOCK + 100,
        "config header": BLOCK + config.offset + 130,
        "config, its structure": BLOCK + config.offset_data,
        "config, in the middle": BLOCK + config.offset_data + config.size // 2,
        "manifest.json": BLOCK + layout["manifest.json"].offset_data + 40,
        "layer, its first block": BLOCK + layer.offset_data + 16,
        "layer, in the middle": BLOCK + layer.offset_data + layer.size // 2,
        "layer, its last block": BLOCK + layer.offset_data + layer.size - 8,
        "block before the padding": size - BLOCK - 1,
        "padding": size - 1,
    }


class TestWrongFragment:
    @pytest.mark.fault(7)
    def test_is_said_in_the_same_words_whether_the_padding_shows_it_or_not(
        self, refused: Callable[..., BinarySplitError], sealed: Sealed
    ) -> None:
        content = sealed.path.read_bytes()
        plain = refused(content, fragment=b"plainly wrong")
        lucky = refused(content, fragment=find_lucky_fragment(content))
        assert (type(plain), str(plain), plain.hint) == (type(lucky), str(lucky), lucky.hint)
        assert str(plain) == SAME_WORDS


class TestPins:
    def test_an_image_that_is_not_the_pinned_one_is_refused(self, device: Device, sealed: Sealed) -> None:
        for ref in sealed.images:
            pins = {**sealed.pins, ref: Digest("0" * 64)}
            with pytest.raises(ImageMismatchError, match=ref.name):
                device.unlock(sealed.path, pins)
            assert device.files() == []

    def test_an_archive_of_another_version_is_refused(
        self, device: Device, sealed: Sealed, tmp_path: Path
    ) -> None:
        other = make_sealed(tmp_path / "newer", "1.1.0", NAMES)
        with pytest.raises(ImageMissingError, match=r"1\.0\.0"):
            device.unlock(other.path, sealed.pins)
        assert device.files() == []

    @pytest.mark.fault(23)
    @pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "unauthenticated"])
    def test_an_extra_reference_is_refused_before_loading(
        self, device: Device, sealed: Sealed, tmp_path: Path, pinned: bool
    ) -> None:
        tar = retag(sealed.tar, tmp_path / "extra.tar", str(sealed.images[0]), more="alpine:latest")
        path = tmp_path / "extra.cbc"
        path.write_bytes(encrypt(tar.read_bytes()))
        with pytest.raises(ImageMismatchError, match=r"alpine:latest"):
            device.unlock(path, sealed.pins if pinned else None, images=sealed.images)
        assert device.files() == []

    @pytest.mark.fault(6)
    def test_a_config_forged_by_one_who_knows_the_fragment_is_refused(
        self, device: Device, sealed: Sealed, tmp_path: Path
    ) -> None:
        ref = sealed.images[1]
        path = tmp_path / "forged.cbc"
        forged = forge_config(sealed.tar, tmp_path / "forged.tar", str(ref), become_root)
        path.write_bytes(encrypt(forged.read_bytes()))
        with pytest.raises(ImageMismatchError, match=ref.name):
            device.unlock(path, sealed.pins)
        assert device.files() == []
        device.unlock(path, None, images=sealed.images)  # what the pins are good for
        assert device.ids([ref]) != {ref: sealed.pins[ref]}


def become_root(config: dict[str, Any]) -> None:
    config["config"]["User"] = "0:0"


class TestUnauthenticated:
    def test_good_input_unlocks(self, device: Device, sealed: Sealed) -> None:
        result = device.unlock(sealed.path, None, images=sealed.images)
        assert device.ids(sealed.images) == sealed.pins
        assert {image.ref: image.config_digest for image in result.images} == sealed.pins

    @pytest.mark.fault(5)
    def test_damaged_layers_are_still_caught(self, device: Device, sealed: Sealed, tmp_path: Path) -> None:
        content = sealed.path.read_bytes()
        path = tmp_path / "damaged.cbc"
        for region, position in regions(sealed).items():
            if region.startswith("layer"):
                path.write_bytes(flip_bit(content, position))
                with pytest.raises(ArchiveDamagedError):
                    device.unlock(path, None, images=sealed.images)
                assert device.files() == []

    @pytest.mark.fault(4)
    def test_truncated_archives_are_still_caught(
        self, device: Device, sealed: Sealed, tmp_path: Path
    ) -> None:
        path = tmp_path / "cut.cbc"
        path.write_bytes(encrypt(sealed.tar.read_bytes()[:60_000]))
        with pytest.raises(ArchiveDamagedError):
            device.unlock(path, None, images=sealed.images)
        assert device.files() == []


@pytest.mark.fault(25)
def test_an_archive_that_shrinks_while_it_is_read_loads_nothing(
    device: Device, sealed: Sealed, tmp_path: Path
) -> None:
    path = tmp_path / "shrinking.cbc"
    path.write_bytes(sealed.path.read_bytes())

    class Cutting(Fragments):
        def fetch(self) -> Fragment:
            fragment = super().fetch()
            with path.open("r+b") as file:
                file.truncate(40_000)
            return fragment

    with pytest.raises(BinarySplitError):
        device.unlock(path, sealed.pins, source=Cutting())
    assert device.files() == []


def test_a_listener_is_told_of_the_failure_last(device: Device, sealed: Sealed) -> None:
    with pytest.raises(BinarySplitError):
        device.unlock(sealed.path, sealed.pins, source=Fragments(b"wrong"))
    assert device.steps() == ["checking", "authenticating", "downloading_key", "decrypting", "error"]
