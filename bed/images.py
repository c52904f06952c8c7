"""Container images made offline: releases as Docker saves them, and as OCI layout folders."""

from __future__ import annotations

import gzip
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, cast

from bed.layers import COPY_BYTES, Filler, HashingWriter, Layer
from bed.release import Image, Recipe, make_images, to_json
from bed.saves import image_index, oci_manifest, write_classic, write_oci
from binary_split.config import API_SERVICES

Style = Literal["oci", "classic"]
Compression = Literal["gzip", "zstd", "none"]


def build_release(
    path: Path,
    version: str,
    *,
    names: Sequence[str] = API_SERVICES,
    program: bytes | None = None,
    filler_bytes: int = 0,
    filler_kind: Filler = "random",
    seed: int = 0,
    style: Style = "oci",
) -> dict[str, str]:
    """Write a release as one tar that ``docker load`` takes; the same arguments give the same bytes.

    Args:
        path: the tar to write.
        version: tag of every image.
        names: the images.
        program: a static busybox; each image then runs and prints ``NAME VERSION is running``.
        filler_bytes: size of the whole release, half of it in a shared layer. Memory stays constant.
        filler_kind: ``random`` does not compress, ``zeros`` does.
        seed: makes another release of the same names and version.
        style: ``oci`` as Docker 25 and later save, ``classic`` as Docker 20.10 does.

    Returns:
        Each reference and its config digest, ``sha256:…``.
    """
    recipe = Recipe(version, names, program, filler_bytes, filler_kind, seed)
    with _layers_beside(path, recipe) as images, path.open("wb") as out:
        (write_oci if style == "oci" else write_classic)(out, images)
        return _config_digests(images)


def write_oci_layout(
    folder: Path,
    version: str,
    *,
    names: Sequence[str] = API_SERVICES,
    program: bytes | None = None,
    filler_bytes: int = 0,
    filler_kind: Filler = "random",
    seed: int = 0,
    compression: Compression = "gzip",
) -> dict[str, str]:
    """Write a release as an OCI image layout folder; arguments and answer as for `build_release`."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    recipe = Recipe(version, names, program, filler_bytes, filler_kind, seed)
    with _layers_beside(folder, recipe) as images:
        stored = _store_layers(images, blobs, compression)
        manifests = []
        for image in images:
            layers = [stored[layer.diff_id] for layer in image.layers]
            manifest = oci_manifest(image, layers)
            (blobs / image.config_hex).write_bytes(image.config)
            (blobs / manifest.hex).write_bytes(manifest.content)
            manifests.append((image, manifest))
        (folder / "oci-layout").write_bytes(to_json({"imageLayoutVersion": "1.0.0"}))
        (folder / "index.json").write_bytes(image_index(manifests))
        return _config_digests(images)


def _config_digests(images: Sequence[Image]) -> dict[str, str]:
    return {image.ref: f"sha256:{image.config_hex}" for image in images}


@contextmanager
def _layers_beside(path: Path, recipe: Recipe) -> Iterator[list[Image]]:
    """Keep the raw layers in the same file system as the result: what has room for one has for both."""
    with tempfile.TemporaryDirectory(prefix=".layers-", dir=path.parent) as folder:
        yield make_images(recipe, Path(folder))


def _store_layers(
    images: Sequence[Image], blobs: Path, compression: Compression
) -> dict[str, dict[str, Any]]:
    unique = {layer.diff_id: layer for image in images for layer in image.layers}
    return {diff_id: _store_layer(layer, blobs, compression) for diff_id, layer in unique.items()}


def _store_layer(layer: Layer, blobs: Path, compression: Compression) -> dict[str, Any]:
    """Compress one layer into a blob named by its digest and return its OCI descriptor."""
    partial = blobs / "blob.partial"
    with layer.path.open("rb") as source, partial.open("wb") as raw:
        out = HashingWriter(raw)
        with _compressor(out, compression) as compressed:
            while chunk := source.read(COPY_BYTES):
                compressed.write(chunk)
    partial.rename(blobs / out.hex)
    suffix = "" if compression == "none" else f"+{compression}"
    return {
        "mediaType": f"application/vnd.oci.image.layer.v1.tar{suffix}",
        "digest": f"sha256:{out.hex}",
        "size": out.size,
    }


@contextmanager
def _compressor(out: HashingWriter, compression: Compression) -> Iterator[IO[bytes] | HashingWriter]:
    if compression == "none":
        yield out
    elif compression == "gzip":
        target = cast("IO[bytes]", out)
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=target, mtime=0) as file:
            yield cast("IO[bytes]", file)
    else:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        with zstd.ZstdFile(cast("IO[bytes]", out), "wb") as file:
            yield cast("IO[bytes]", file)
