"""Image tars in every form that engines take, with layers left out or compressed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from binary_split.model import ImageRef
from binary_split.oci.compression import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@dataclass(frozen=True)
class Parts:
    """An image taken apart: its config and its layers, lowest first, uncompressed."""

    ref: ImageRef
    config: bytes
    layers: tuple[bytes, ...]


def take_apart(tar: Path) -> dict[ImageRef, Parts]:
    """Read the images of a tar that holds uncompressed layers."""
    with tarfile.open(tar) as opened:

        def read(name: str) -> bytes:
            file = opened.extractfile(name)
            assert file is not None
            return file.read()

        found = {}
        for entry in json.loads(read("manifest.json")):
            ref = ImageRef.parse(entry["RepoTags"][0])
            found[ref] = Parts(ref, read(entry["Config"]), tuple(map(read, entry["Layers"])))
        return found


def write_tar(
    images: Iterable[Parts],
    *,
    left_out: Collection[bytes] = (),
    compression: Compression = Compression.NONE,
    has_docker_manifest: bool = True,
) -> bytes:
    """Write images as an OCI layout, beside it as a docker archive, without some of their layers."""
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    entries, docker = [], []
    for image in images:
        stored = [_compress(layer, compression) for layer in image.layers]
        files.update(
            {
                _path(blob): blob
                for blob, layer in zip(stored, image.layers, strict=True)
                if layer not in left_out
            }
        )
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": _describe("application/vnd.oci.image.config.v1+json", image.config),
                "layers": [_describe(compression.value, blob) for blob in stored],
            }
        ).encode()
        files.update({_path(image.config): image.config, _path(manifest): manifest})
        names = {
            "io.containerd.image.name": f"docker.io/{image.ref}",
            "org.opencontainers.image.ref.name": image.ref.tag,
        }
        described = _describe("application/vnd.oci.image.manifest.v1+json", manifest)
        entries.append({**described, "annotations": names})
        paths = [_path(blob) for blob in stored]
        docker.append({"Config": _path(image.config), "RepoTags": [str(image.ref)], "Layers": paths})
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    if has_docker_manifest:
        files["manifest.json"] = json.dumps(docker).encode()
    return _tar(files)


def _compress(layer: bytes, compression: Compression) -> bytes:
    if compression is Compression.GZIP:
        return gzip.compress(layer, 1, mtime=0)
    return zstd.compress(layer) if compression is Compression.ZSTD else layer


def _path(blob: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}"


def _describe(media_type: str, blob: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(blob)}


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()
