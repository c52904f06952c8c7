"""Which loads a release comes in, from what an engine has: pure, and the same for the same input.

An engine loads one tar with one processor. So what it lacks is cut into parts that it loads side by side,
each layer in one of them, and a part's end, which makes the engine register its image, waits for the parts
that hold its lower layers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from binary_split.model import Digest
from binary_split.oci.blob import Blob, hash_bytes
from binary_split.oci.layout import LayoutImage


@dataclass(frozen=True, slots=True)
class Part:
    """What one load brings.

    Attributes:
        images: by index in the release, those that are whole once this part and its parents are loaded. None:
            layers on which images of other parts stand, registered under an image of their own.
        base: the image in whose chain the layers lie, by index.
        depth: how many of its layers, from the lowest, are there once the part is loaded.
        layers: what is sent, lowest first.
        parents: the parts that must be loaded before this one ends, by index; each comes before it.
    """

    images: tuple[int, ...]
    base: int
    depth: int
    layers: tuple[Blob, ...]
    parents: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """How many bytes of layers are sent."""
        return sum(layer.size for layer in self.layers)


def chain_ids(diff_ids: Iterable[Digest]) -> tuple[Digest, ...]:
    """Return what names each layer together with all below it (OCI image-spec, ``config.md``, ChainID)."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(hash_bytes(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)


def whole_part(images: Sequence[LayoutImage], lacking: Iterable[int]) -> tuple[Part, ...]:
    """Return one part with all images that are lacking, whole: for an engine that reuses nothing."""
    lacking = tuple(lacking)
    layers = dict.fromkeys(layer for index in lacking for layer in images[index].layers)
    return (Part(lacking, lacking[0], len(images[lacking[0]].layers), tuple(layers)),) if lacking else ()


def part_by_image(
    images: Sequence[LayoutImage], lacking: Iterable[int], present: Collection[Digest]
) -> tuple[Part, ...]:
    """Return a part for each image that is lacking, with the layers that no part before it brings.

    Args:
        images: the release's.
        lacking: those that are to be loaded, by index.
        present: chain ids of all that the engine has.
    """
    brought: dict[Digest, int] = {}
    parts: list[Part] = []
    for index in lacking:
        image = images[index]
        named = dict(zip(chain_ids(image.config.diff_ids), image.layers, strict=True))
        layers = {name: layer for name, layer in named.items() if name not in present and name not in brought}
        parents = sorted({brought[name] for name in named if name in brought})
        parts.append(
            Part((index,), index, len(image.layers), tuple(dict.fromkeys(layers.values())), tuple(parents))
        )
        brought |= dict.fromkeys(layers, len(parts) - 1)
    return tuple(parts)


def part_by_chain(
    images: Sequence[LayoutImage], lacking: Iterable[int], present: Collection[Digest], *, max_bytes: int
) -> tuple[Part, ...]:
    """Cut what is lacking where chains of layers branch, where images end, and where a part grows large.

    The parts come in the order in which they are best sent: those on which most bytes wait first.

    Args:
        images: the release's.
        lacking: those that are to be loaded, by index.
        present: chain ids of all that the engine has.
        max_bytes: a part of several layers is not larger.
    """
    nodes, whole = _grow(images, lacking, present)
    pieces = _by_weight(_cut(nodes, max_bytes), nodes)
    places = {name: place for place, piece in enumerate(pieces) for name in piece}
    parts = [_part_of(piece, images, nodes, places) for piece in pieces]
    for place, piece in enumerate(pieces):  # other images of the same layers
        parts += (_bare_part(images, index, (place,)) for index in nodes[piece[-1]].ends[1:])
    return (*parts, *(_bare_part(images, index, ()) for index in whole))


@dataclass(slots=True)
class _Node:
    """A layer in its place in a chain."""

    layer: Blob
    parent: Digest | None
    image: int
    depth: int
    children: int = 0
    ends: list[int] = field(default_factory=list)  # the images of which it is the highest


_Piece = list[Digest]
"""Some consecutive nodes of a chain."""


def _grow(
    images: Sequence[LayoutImage], lacking: Iterable[int], present: Collection[Digest]
) -> tuple[dict[Digest, _Node], list[int]]:
    """Return the layers that are lacking, parents before children, and the images that lack none."""
    nodes: dict[Digest, _Node] = {}
    whole: list[int] = []
    for index in lacking:
        chain = chain_ids(images[index].config.diff_ids)
        parent = None
        for depth, (name, layer) in enumerate(zip(chain, images[index].layers, strict=True), start=1):
            if name in present:
                continue
            if name not in nodes:
                nodes[name] = _Node(layer, parent, index, depth)
                if parent is not None:
                    nodes[parent].children += 1
            parent = name
        (whole if parent is None else nodes[parent].ends).append(index)
    return nodes, whole


def _cut(nodes: dict[Digest, _Node], max_bytes: int) -> list[_Piece]:
    pieces: list[_Piece] = []
    places: dict[Digest, int] = {}
    for name, node in nodes.items():
        parent = node.parent
        if parent is not None and nodes[parent].children == 1 and not nodes[parent].ends:
            piece = pieces[places[parent]]
            if sum(nodes[each].layer.size for each in piece) + node.layer.size <= max_bytes:
                piece.append(name)
                places[name] = places[parent]
                continue
        places[name] = len(pieces)
        pieces.append([name])
    return pieces


def _by_weight(pieces: list[_Piece], nodes: dict[Digest, _Node]) -> list[_Piece]:
    """Sort by the bytes on the longest way from here to an image; a parent's is never shorter."""
    weights = dict.fromkeys(nodes, 0)
    for name, node in reversed(nodes.items()):
        weights[name] += node.layer.size
        if node.parent is not None:
            weights[node.parent] = max(weights[node.parent], weights[name])
    return sorted(pieces, key=lambda piece: -weights[piece[0]])


def _part_of(
    piece: _Piece, images: Sequence[LayoutImage], nodes: dict[Digest, _Node], places: dict[Digest, int]
) -> Part:
    first, last = nodes[piece[0]], nodes[piece[-1]]
    image = tuple(last.ends[:1])
    base = image[0] if image else last.image
    layers = tuple(dict.fromkeys(images[base].layers[last.depth - len(piece) : last.depth]))
    parents = () if first.parent is None else (places[first.parent],)
    return Part(image, base, last.depth, layers, parents)


def _bare_part(images: Sequence[LayoutImage], index: int, parents: tuple[int, ...]) -> Part:
    """Return a part that brings an image and no layer: every one is there, or comes with the parents."""
    return Part((index,), index, len(images[index].layers), (), parents)
