"""The images of a made-up release: what their layers and configs hold, before any archive is written."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bed.layers import Entry, Filler, Layer, filler, write_layer

CREATED = "2024-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_RUNTIME = 'announce() { echo "$1 is running"; }\n'
_START = '. /usr/lib/azaion/runtime.sh\nannounce "{name} {version}"\n'


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a release is made from; the same recipe always makes the same bytes.

    Attributes:
        program: a static busybox, or None where the images need not run.
        filler_bytes: half of it goes into the shared runtime layer, the rest evenly into the own layers.
    """

    version: str
    names: Sequence[str]
    program: bytes | None = None
    filler_bytes: int = 0
    filler_kind: Filler = "random"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its reference, config bytes and layers from the base up."""

    name: str
    version: str
    config: bytes
    layers: tuple[Layer, ...]

    @property
    def ref(self) -> str:
        """The reference ``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def config_hex(self) -> str:
        """The config's SHA-256: the image id in the classic store."""
        return hashlib.sha256(self.config).hexdigest()


def make_images(recipe: Recipe, folder: Path) -> list[Image]:
    """Write the layers of a release into ``folder`` and describe its images.

    Base and runtime are the first two layers of every image. The last one is the same bytes in all of them
    too, but above different parents: Docker saves it once and names it through aliases.
    """
    base = write_layer(folder, _base(recipe))
    runtime = write_layer(folder, _runtime(recipe))
    notice = write_layer(folder, [Entry.text("app/NOTICE", "Example software for tests.\n")])
    return [_image(recipe, name, (base, runtime), notice, folder) for name in recipe.names]


def make_config(layers: Sequence[Layer]) -> bytes:
    """Serialise the config of an image with these layers."""
    return to_json(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "config": {"Cmd": ["/bin/sh", "/app/start"], "Env": ["PATH=/bin"], "User": "1000:1000"},
            "created": CREATED,
            "history": [{"created": CREATED, "created_by": f"layer {n}"} for n in range(len(layers))],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in layers]},
        }
    )


def to_json(document: Any) -> bytes:
    """Serialise compactly, as Docker does."""
    return json.dumps(document, separators=(",", ":")).encode()


def _image(recipe: Recipe, name: str, shared: tuple[Layer, ...], notice: Layer, folder: Path) -> Image:
    layers = (*shared, write_layer(folder, _own(recipe, name)), notice)
    return Image(name, recipe.version, make_config(layers), layers)


def _base(recipe: Recipe) -> list[Entry]:
    if recipe.program is None:
        return [Entry.text("bin/README", "This image has no program.\n")]
    return [
        Entry.of("bin/busybox", recipe.program, mode=0o755),
        Entry("bin/sh", link="busybox"),
    ]


def _runtime(recipe: Recipe) -> list[Entry]:
    size = recipe.filler_bytes // 2
    noise = filler("usr/lib/azaion/runtime.bin", size, f"runtime {recipe.seed}", recipe.filler_kind)
    return [Entry.text("usr/lib/azaion/runtime.sh", _RUNTIME), noise]


def _own(recipe: Recipe, name: str) -> list[Entry]:
    size = (recipe.filler_bytes - recipe.filler_bytes // 2) // len(recipe.names)
    seed = f"{name} {recipe.version} {recipe.seed}"
    start = _START.format(name=name, version=recipe.version)
    return [Entry.text("app/start", start), filler("app/model.bin", size, seed, recipe.filler_kind)]
