"""A release as real services have it: a base of thousands of small files, shared libraries, large weights.

Offline, deterministic and of any size. Seven images share five layers; files are of many sizes, and most of
them compress to a half as programs and libraries do, the weights not at all. The image that infers holds a
small runtime and the weights, the one that trains a large toolkit: each of these chains is half of all.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bed.layers import Entry, Layer, Noise, write_layer
from bed.release import Image, make_config
from bed.saves import write_oci

_HEXADECIMAL = bytes(b"0123456789abcdef"[value % 16] for value in range(256))
_SPREAD = 1.2  # of the sizes of files: a few are some hundred times larger than the many
_PER_FOLDER = 40


@dataclass(frozen=True, slots=True)
class _Recipe:
    """One layer.

    Attributes:
        share: of the bundle's bytes.
        file_bytes: the middle size of its files; None: it is one file.
        compresses: whether a compressor makes it smaller.
    """

    share: float
    file_bytes: int | None
    compresses: bool = True


_SHARED: Mapping[str, _Recipe] = {
    "base": _Recipe(0.06, 8_000),
    "python": _Recipe(0.08, 24_000),
    "web": _Recipe(0.05, 16_000),
    "inference": _Recipe(0.04, 1_000_000),
    "cuda": _Recipe(0.22, 6_000_000),
    "torch": _Recipe(0.12, 120_000),
    "vision": _Recipe(0.06, 400_000),
    "weights": _Recipe(0.295, None, compresses=False),
    "native": _Recipe(0.035, 2_000_000),
}
OWN_SHARE = 0.04
"""What a new version changes of all, in seven images."""
_OWN_FILE_BYTES = 12_000

_CHAINS: Mapping[str, Sequence[str]] = {
    "azaion/annotations": ("base", "python", "web"),
    "azaion/flights": ("base", "python", "web"),
    "azaion/detections": ("base", "python", "inference", "weights"),
    "azaion/gps-denied-onboard": ("base", "python", "cuda", "vision"),
    "azaion/gps-denied-desktop": ("base", "python", "cuda", "vision"),
    "azaion/autopilot": ("base", "native"),
    "azaion/ai-training": ("base", "python", "cuda", "torch"),
}


SHARES: Mapping[str, float] = {name: recipe.share for name, recipe in _SHARED.items()}
"""The shared layers, and which share of a bundle's bytes each is."""


def make_bundle(
    folder: Path, version: str, *, size: int, changed: Collection[str] = (), own_share: float = OWN_SHARE
) -> list[Image]:
    """Write the layers of a bundle into ``folder``; another version has other application layers only.

    Args:
        folder: where the layers go, each under its digest; those of another version are not written twice.
        version: tag of every image.
        size: bytes of all layers together, within some percent.
        changed: shared layers, of `SHARES`, that are this version's own too.
        own_share: of all bytes, in the layers that every version has of its own.
    """
    own_recipe = _Recipe(own_share / len(_CHAINS), _OWN_FILE_BYTES)
    shared = {
        name: _make_layer(folder, f"{name}-{version}" if name in changed else name, recipe, size)
        for name, recipe in _SHARED.items()
    }
    notice = write_layer(folder, [Entry.text("app/NOTICE", "Example software for tests.\n")])
    images = []
    for name, chain in _CHAINS.items():
        own = _make_layer(folder, f"{name}-{version}", own_recipe, size)
        layers = (*(shared[each] for each in chain), notice, own)  # what changes most comes last
        images.append(Image(name, version, make_config(layers), layers))
    return images


def write_bundle(path: Path, images: Sequence[Image]) -> dict[str, str]:
    """Write a bundle as one tar that ``docker load`` takes; return each reference and its config digest."""
    with path.open("wb") as out:
        write_oci(out, images)
    return {image.ref: f"sha256:{image.config_hex}" for image in images}


def _make_layer(folder: Path, name: str, recipe: _Recipe, bundle_bytes: int) -> Layer:
    draw = random.Random(name)
    left = int(recipe.share * bundle_bytes)
    entries: list[Entry] = []
    while left > 0:
        size = min(left, _draw_size(draw, recipe.file_bytes) if recipe.file_bytes else left)
        number = len(entries)
        path = f"opt/{name}/{number // _PER_FOLDER}/{number}.so"
        noise = Noise(path)
        entries.append(Entry(path, size, _Halved(noise) if recipe.compresses else noise))
        left -= size
    return write_layer(folder, entries)


def _draw_size(draw: random.Random, middle: int) -> int:
    return 1 + int(draw.lognormvariate(math.log(middle), _SPREAD))


class _Halved:
    """Noise with four bits in each byte, which a compressor brings down to half."""

    def __init__(self, noise: Noise) -> None:
        self._noise = noise

    def read(self, size: int = -1, /) -> bytes:
        return self._noise.read(size).translate(_HEXADECIMAL)
