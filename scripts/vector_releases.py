"""The made-up releases of the archive vectors: the same bytes in every run."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from binary_split.archive.age import Recipient
from binary_split.archive.age import open_age as open_age_file
from binary_split.archive.age import seal_age as begin_age
from binary_split.archive.age.stanzas import Identity
from binary_split.model import ImageRef, Release
from binary_split.oci.blob import Blob, hash_blob
from binary_split.oci.compression import Compression
from binary_split.oci.images import ImageConfig
from binary_split.oci.layout import LayoutImage, LayoutTar
from binary_split.oci.tar import END, padded, serialise_header
from binary_split.sealing.age import AgeOrder, seal_age

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VERSION = "1.0.0"

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Images:
    """Images with raw layers, and the layers' bytes."""

    layout: tuple[LayoutImage, ...]
    contents: dict[Blob, bytes]

    @property
    def release(self) -> Release:
        """The release that they are."""
        return Release(VERSION, tuple(ref for image in self.layout for ref in image.refs))

    def tar(self) -> bytes:
        """Return them as `docker save` would: layers as they are, in a tar that `docker load` takes."""
        tar = LayoutTar(self.layout, self.contents, lambda layer: iter([self.contents[layer]]))
        return b"".join(bytes(chunk) for chunk in tar.chunks())


def two_images() -> Images:
    """Two images that share a layer; one has a second name, the other a layer that does not compress."""
    shared = layer("usr/share/shared.txt", b"a line that compresses\n" * 400)
    one = layer("app/one.txt", b"one\n")
    # without its end, as readers allow: with it, it would have to be larger by far not to compress
    noise = layer("app/noise.bin", make_noise(9_216)).removesuffix(END)
    return make_images({"vector/one,vector/uno": [shared, one], "vector/two": [shared, noise]})


def one_image(names: str = "a") -> Images:
    """One image, with a layer for each letter; all layers have the same length."""
    return make_images({"vector/small": [layer(f"app/{each}.txt", each.encode()) for each in names]})


def make_images(recipe: dict[str, list[bytes]]) -> Images:
    """Return images by their names (several with commas between) and layers."""
    contents: dict[Blob, bytes] = {}
    layout = []
    for names, layers in recipe.items():
        blobs = [hash_blob([content]) for content in layers]
        contents |= zip(blobs, layers, strict=True)
        refs = tuple(ImageRef.parse(f"{name}:{VERSION}") for name in names.split(","))
        layout.append(LayoutImage(refs, make_config(names, blobs), tuple(blobs)))
    return Images(tuple(layout), contents)


def make_config(names: str, layers: list[Blob]) -> ImageConfig:
    """Return an image's config; no engine of any machine but amd64 would run it."""
    document = {
        "architecture": "amd64",
        "config": {"Cmd": [f"/app/{names.partition(',')[0]}"]},
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [str(each.diff_id) for each in layers]},
    }
    return ImageConfig.parse(json.dumps(document, separators=(",", ":")).encode())


def layer(name: str, content: bytes) -> bytes:
    """Return a layer of one file."""
    return serialise_header(name, len(content)) + content.ljust(padded(len(content)), b"\0") + END


def make_noise(size: int) -> bytes:
    """Return bytes that no compressor shrinks."""
    blocks = (hashlib.sha256(b"noise %d" % number).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def seal(images: Images, recipients: list[Recipient], sign: Sign, compression: Compression) -> bytes:
    """Seal a release as the product does."""
    sink = io.BytesIO()
    order = AgeOrder(images.release, "vectors", 7, CREATED, recipients, sign, compression)
    with TemporaryDirectory() as spool:
        seal_age(order, lambda _refs: iter([images.tar()]), sink, spool_folder=Path(spool))
    return sink.getvalue()


def open_plain(archive: bytes, identity: Identity) -> bytes:
    """Return an archive's plaintext."""
    return open_age_file(io.BytesIO(archive), [identity]).read()


def seal_plain(plaintext: bytes, recipients: list[Recipient]) -> bytes:
    """Seal any bytes: what one who knows the fragment can make."""
    sink = io.BytesIO()
    writer = begin_age(sink, recipients)
    writer.write(plaintext)
    writer.finish()
    return sink.getvalue()


def members(tar: bytes) -> Iterator[tuple[str, int, int]]:
    """Give each member's name, the offset of its content, and its size."""
    at = 0
    while tar[at]:
        name = tar[at : at + 100].rstrip(b"\0").decode()
        size = int(tar[at + 124 : at + 135], 8)
        yield name, at + 512, size
        at += 512 + padded(size)
