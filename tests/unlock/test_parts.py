"""How a release is cut into loads: every layer that is lacking once, and nothing before what it stands on."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from binary_split.model import Digest, ImageRef
from binary_split.oci.blob import Blob, hash_bytes
from binary_split.oci.compression import Compression
from binary_split.oci.images import ImageConfig
from binary_split.oci.layout import LayoutImage
from binary_split.unlock.parts import Part, chain_ids, part_by_chain, part_by_image, whole_part

UNLIMITED = 1 << 60


def layer(name: str, size: int = 10) -> Blob:
    digest = hash_bytes(name.encode())
    return Blob(digest, digest, size, Compression.NONE)


def image(name: str, layers: Sequence[Blob]) -> LayoutImage:
    rootfs = {"type": "layers", "diff_ids": [str(each.diff_id) for each in layers]}
    config = {"os": "linux", "architecture": "amd64", "author": name, "rootfs": rootfs}
    return LayoutImage(
        (ImageRef("azaion/" + name, "1"),), ImageConfig.parse(json.dumps(config).encode()), tuple(layers)
    )


def release(*chains: str) -> list[LayoutImage]:
    """Make images of layers that are called by letters."""
    return [image(f"i{number}", [layer(each) for each in chain]) for number, chain in enumerate(chains)]


def every(images: Sequence[LayoutImage]) -> range:
    return range(len(images))


def names(part: Part) -> str:
    known = {layer(letter).digest: letter for letter in "abcdefgh"}
    return "".join(known[each.digest] for each in part.layers)


def chains(parts: Sequence[Part]) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    return [(names(part), part.images, part.parents) for part in parts]


class TestByChain:
    def test_a_single_chain_is_one_part(self) -> None:
        images = release("abc")
        assert chains(part_by_chain(images, every(images), (), max_bytes=UNLIMITED)) == [("abc", (0,), ())]

    def test_a_branch_without_an_image_becomes_a_part_of_its_own(self) -> None:
        images = release("abc", "abd")
        parts = part_by_chain(images, every(images), (), max_bytes=UNLIMITED)
        assert chains(parts) == [("ab", (), ()), ("c", (0,), (0,)), ("d", (1,), (0,))]
        assert [part.depth for part in parts] == [2, 3, 3]

    def test_an_image_on_which_another_stands_ends_a_part(self) -> None:
        images = release("abcd", "ab")
        parts = part_by_chain(images, every(images), (), max_bytes=UNLIMITED)
        assert chains(parts) == [("ab", (1,), ()), ("cd", (0,), (0,))]

    def test_what_the_engine_has_is_left_out_from_below(self) -> None:
        images = release("abc", "abd")
        present = set(chain_ids([layer(each).diff_id for each in "ab"]))
        parts = part_by_chain(images, every(images), present, max_bytes=UNLIMITED)
        assert chains(parts) == [("c", (0,), ()), ("d", (1,), ())]

    def test_a_layer_that_is_there_in_another_chain_is_sent(self) -> None:
        images = release("abc")
        present = set(chain_ids([layer(each).diff_id for each in "bc"]))
        assert names(part_by_chain(images, every(images), present, max_bytes=UNLIMITED)[0]) == "abc"

    def test_an_image_of_which_every_layer_is_there_comes_without_one(self) -> None:
        images = release("ab", "ab")
        present = set(chain_ids([layer(each).diff_id for each in "ab"]))
        parts = part_by_chain(images, every(images), present, max_bytes=UNLIMITED)
        assert chains(parts) == [("", (0,), ()), ("", (1,), ())]

    def test_two_images_of_the_same_layers_send_them_once(self) -> None:
        images = release("ab", "ab")
        parts = part_by_chain(images, every(images), (), max_bytes=UNLIMITED)
        assert chains(parts) == [("ab", (0,), ()), ("", (1,), (0,))]

    def test_a_long_chain_is_cut_where_a_part_would_grow_too_large(self) -> None:
        images = release("abcd")
        parts = part_by_chain(images, every(images), (), max_bytes=20)
        assert chains(parts) == [("ab", (), ()), ("cd", (0,), (0,))]

    def test_what_most_bytes_wait_for_is_sent_first(self) -> None:
        light, heavy = [layer("a"), layer("b")], [layer("c"), layer("d", 1000)]
        parts = part_by_chain([image("x", light), image("y", heavy)], (0, 1), (), max_bytes=UNLIMITED)
        assert [part.images for part in parts] == [(1,), (0,)]

    def test_only_the_images_that_are_lacking_come(self) -> None:
        images = release("ab", "cd")
        assert chains(part_by_chain(images, (1,), (), max_bytes=UNLIMITED)) == [("cd", (1,), ())]


class TestByImage:
    def test_each_image_brings_what_none_before_it_brought(self) -> None:
        images = release("abc", "abd")
        parts = part_by_image(images, every(images), (), by_chain=True)
        assert chains(parts) == [("abc", (0,), ()), ("d", (1,), (0,))]

    def test_by_blob_a_layer_counts_wherever_it_lies(self) -> None:
        images = release("abc", "cd")
        assert chains(part_by_image(images, every(images), {layer("a").digest}, by_chain=False)) == [
            ("bc", (0,), ()),
            ("d", (1,), (0,)),
        ]
        assert names(part_by_image(images, every(images), (), by_chain=True)[1]) == "cd"


def test_an_engine_that_reuses_nothing_gets_everything_at_once() -> None:
    images = release("abc", "abd")
    parts = whole_part(images, every(images))
    assert chains(parts) == [("abcd", (0, 1), ())]
    assert whole_part(images, ()) == ()


releases = st.lists(st.text("abcdefgh", min_size=1, max_size=6), min_size=1, max_size=6)


@given(
    chains=releases, present=st.lists(st.text("abcdefgh", max_size=6), max_size=3), limit=st.integers(1, 60)
)
def test_loaded_in_order_each_image_ends_whole(chains: list[str], present: list[str], limit: int) -> None:
    images = release(*chains)
    there = {name for chain in present for name in chain_ids([layer(each).diff_id for each in chain])}
    parts = part_by_chain(images, every(images), there, max_bytes=limit)
    registered = set(there)
    for place, part in enumerate(parts):
        assert all(parent < place for parent in part.parents)
        chain = chain_ids(images[part.base].config.diff_ids[: part.depth])
        missing = [name for name in chain if name not in registered]
        own = [images[part.base].layers[chain.index(name)] for name in missing]
        assert set(own) == set(part.layers)  # what is sent is all that is lacking, and no more
        assert len(part.layers) == 1 or part.size <= limit or not part.layers
        registered.update(chain)
    assert sorted(index for part in parts for index in part.images) == list(every(images))


@given(chains=releases, by_chain=st.booleans())
def test_by_image_nothing_is_sent_twice(chains: list[str], by_chain: bool) -> None:
    images = release(*chains)
    parts = part_by_image(images, every(images), (), by_chain=by_chain)
    assert [part.images for part in parts] == [(index,) for index in every(images)]
    if not by_chain:
        sent = [each.digest for part in parts for each in part.layers]
        assert len(sent) == len(set(sent))
        assert set(sent) == {each.digest for row in images for each in row.layers}


def test_a_chain_id_is_the_specifications_own_example() -> None:
    first, second = Digest("1" * 64), Digest("2" * 64)
    assert chain_ids((first, second)) == (first, hash_bytes(f"{first} {second}".encode()))
    assert chain_ids(()) == ()
