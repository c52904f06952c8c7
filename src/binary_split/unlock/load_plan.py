"""What an unlock has to do: which images are lacking, in which parts they come, and what that costs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from binary_split.config import LIMITS
from binary_split.engines import Engine, EngineDescription, LayerReuse
from binary_split.errors import DiskSpaceError
from binary_split.model import Digest, ImageRef
from binary_split.oci.blob import Blob
from binary_split.oci.layout import LayoutImage
from binary_split.unlock.checking import ExpectedImage, find_lacking
from binary_split.unlock.opening import OpenedArchive
from binary_split.unlock.parts import Part, chain_ids, part_by_chain, part_by_image, whole_part
from binary_split.unlock.plan import PlannedImage, index_layers
from binary_split.unlock.records import InstalledRelease


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is to be loaded, and what that costs; by default nothing.

    Attributes:
        images: the release.
        lacking: the references that the engine lacks, or has for another image.
        parts: in the order in which they are sent.
        read_bytes: of the archive, read for the layers that are sent.
        decrypt_bytes: of its plaintext, decrypted for them.
        send_bytes: of layers, uncompressed where that is possible, sent to the engine.
        spool_bytes: how much may lie in the engine's spool at a time; None: whatever is sent.
        disk_bytes: that the engine needs: for its spool, or what it keeps as sent, and the layers unpacked.
    """

    images: tuple[PlannedImage, ...] = ()
    lacking: frozenset[ImageRef] = frozenset()
    parts: tuple[Part, ...] = ()
    read_bytes: int = 0
    decrypt_bytes: int = 0
    send_bytes: int = 0
    spool_bytes: int | None = None
    disk_bytes: int = 0

    def expected(self) -> tuple[ExpectedImage, ...]:
        """Return what the engine must have in the end."""
        return tuple(row for image in self.images for row in image.expected())


def make_plan(
    opened: OpenedArchive,
    images: Sequence[PlannedImage],
    engine: Engine,
    installed: Iterable[InstalledRelease],
    *,
    low_disk: bool,
) -> LoadPlan:
    """Compare a release with what an engine has.

    Args:
        opened: the archive.
        images: what it holds of the release.
        engine: where it is to go.
        installed: what the journal knows to have been sent to the engine.
        low_disk: keep the engine's spool at half of what is sent, for some time more.
    """
    expected = tuple(row for image in images for row in image.expected())
    absent = frozenset(row.ref for row in find_lacking(engine, expected))
    lacking = [index for index, image in enumerate(images) if absent.intersection(image.layout.refs)]
    layouts = [image.layout for image in images]
    parts: tuple[Part, ...] = ()
    if lacking:
        known = (*expected, *(image for release in installed for image in release.images))
        parts = _divide(engine, layouts, lacking, known, low_disk=low_disk)
    members = index_layers(images)
    sent = [layer for part in parts for layer in part.layers]
    places = [opened.contents.members[members[layer]] for layer in sent]
    send_bytes = sum(part.size for part in parts)
    spool_bytes = send_bytes // 2 if low_disk and len(parts) > 1 else None
    return LoadPlan(
        tuple(images),
        absent,
        parts,
        read_bytes=sum(opened.plaintext.sealed_bytes(place.offset, place.size) for place in places),
        decrypt_bytes=sum(place.size for place in places),
        send_bytes=send_bytes,
        spool_bytes=spool_bytes,
        disk_bytes=(send_bytes if spool_bytes is None else _highest_spool(parts, spool_bytes))
        + sum(_unpacked_size(layer) for layer in sent),
    )


def verify_room(plan: LoadPlan, engine: EngineDescription) -> None:
    """Check that the engine's disk has room, where it is a disk of this machine.

    Raises:
        DiskSpaceError: it has not.
    """
    free = free_bytes(engine.data_root)
    if free is not None and free < plan.disk_bytes:
        raise DiskSpaceError(
            f"the engine needs {plan.disk_bytes:,} bytes in {engine.data_root} and {free:,} are free: "
            "nothing was loaded"
        )


def free_bytes(folder: Path | None) -> int | None:
    """Return how much room a folder's file system has, None where that cannot be seen from here."""
    if folder is None:
        return None
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def _divide(
    engine: Engine,
    images: Sequence[LayoutImage],
    lacking: Sequence[int],
    known: Iterable[ExpectedImage],
    *,
    low_disk: bool,
) -> tuple[Part, ...]:
    reuse = engine.describe().reuse
    if reuse is LayerReuse.NONE:
        return whole_part(images, lacking)
    if reuse is LayerReuse.BLOB:
        chains = _known_chains(images, known_blobs(engine, known))
        return part_by_chain(images, lacking, chains, max_bytes=LIMITS.blob_part_bytes)
    present = {name for image in engine.list_images() for name in chain_ids(image.diff_ids)}
    if reuse is LayerReuse.IMAGE:
        return part_by_image(images, lacking, present)
    max_bytes = LIMITS.low_disk_part_bytes if low_disk else LIMITS.part_bytes
    return part_by_chain(images, lacking, present, max_bytes=max_bytes)


def known_blobs(engine: Engine, known: Iterable[ExpectedImage]) -> Collection[Digest]:
    """Return the blobs of images that the engine has under the very manifest that we sent.

    One of which a blob is missing is there too, but shows no layers: then nothing of it counts.
    """
    id_kind = engine.describe().id_kind
    there = {image.id: image for image in engine.list_images()}
    return {
        blob
        for image in known
        if image.manifest_digest in there and image.is_met_by(there[image.manifest_digest], id_kind)
        for blob in image.blobs
    }


def _known_chains(images: Iterable[LayoutImage], blobs: Collection[Digest]) -> Collection[Digest]:
    """Return the chains, from the lowest layer up, of which every blob is known to be there."""
    return {
        name
        for image in images
        for name, _layer in takewhile(
            lambda row: row[1].digest in blobs,
            zip(chain_ids(image.config.diff_ids), image.layers, strict=True),
        )
    }


def _highest_spool(parts: Iterable[Part], spool_bytes: int) -> int:
    return max(spool_bytes, *(part.size for part in parts))


def _unpacked_size(layer: Blob) -> int:
    return layer.size if layer.plain_size is None else layer.plain_size
