"""What a part is called while it is not yet proven, and the tar that brings it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from binary_split.engines import LayerReuse
from binary_split.model import ImageRef
from binary_split.oci.blob import Blob
from binary_split.oci.images import ImageConfig
from binary_split.oci.layout import LayoutForm, LayoutImage, LayoutTar
from binary_split.unlock.parts import Part

_NAME = "binary-split-staging"  # no dot in it: an engine must not take it for a registry's host
_FORMS = {
    LayerReuse.CHAIN: LayoutForm.DOCKER,
    LayerReuse.IMAGE: LayoutForm.OCI,
    LayerReuse.BLOB: LayoutForm.OCI,
}


def staging_ref(transaction: str, number: int) -> ImageRef:
    """Return the name under which a transaction's image waits to be proven."""
    return ImageRef(f"{_NAME}/{transaction}", str(number))


def is_staging(ref: ImageRef, transaction: str) -> bool:
    """Whether a name is one that a transaction gave."""
    return ref.name == f"{_NAME}/{transaction}"


def staged_images(
    part: Part, number: int, images: Sequence[LayoutImage], transaction: str
) -> tuple[LayoutImage, ...]:
    """Return what a part makes the engine register, under staging names.

    Where the part is not the end of an image, that is an image of our own making with the layers so far.
    """
    if part.images:
        return tuple(
            LayoutImage(
                (staging_ref(transaction, image_number(index)),), images[index].config, images[index].layers
            )
            for index in part.images
        )
    base = images[part.base]
    config = _base_config(base.config, part.depth)
    return (
        LayoutImage((staging_ref(transaction, _base_number(number)),), config, base.layers[: part.depth]),
    )


def image_number(index: int) -> int:
    """Return the number in an image's staging name."""
    return 2 * index


def _base_number(part: int) -> int:
    return 2 * part + 1


def part_tar(
    part: Part,
    staged: Iterable[LayoutImage],
    reuse: LayerReuse,
    open_layer: Callable[[Blob], Iterable[bytes | memoryview]],
) -> LayoutTar:
    """Return the tar of a part, in the form in which the engine lets layers be left out."""
    return LayoutTar(staged, part.layers, open_layer, form=_FORMS.get(reuse, LayoutForm.BOTH))


def _base_config(config: ImageConfig, depth: int) -> ImageConfig:
    os, architecture, *variant = config.platform.split("/")
    document = {
        "architecture": architecture,
        "os": os,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [str(diff_id) for diff_id in config.diff_ids[:depth]]},
    } | ({"variant": variant[0]} if variant else {})
    return ImageConfig.parse(json.dumps(document, separators=(",", ":")).encode())
