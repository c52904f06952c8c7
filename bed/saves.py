"""The two tars that ``docker save`` writes, byte layout and order of members included."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bed.layers import Entry, Layer, add_entry, add_folder, open_tar
from bed.release import CREATED, Image, to_json

_OCI = "application/vnd.oci.image"


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes named by their own digest."""

    content: bytes

    @property
    def hex(self) -> str:
        """The SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()


def raw_descriptor(layer: Layer) -> dict[str, Any]:
    """Describe an uncompressed layer."""
    return {"mediaType": f"{_OCI}.layer.v1.tar", "digest": f"sha256:{layer.diff_id}", "size": layer.size}


def oci_manifest(image: Image, layers: Sequence[dict[str, Any]]) -> Blob:
    """Serialise an image's manifest."""
    config = {
        "mediaType": f"{_OCI}.config.v1+json",
        "digest": f"sha256:{image.config_hex}",
        "size": len(image.config),
    }
    media_type = f"{_OCI}.manifest.v1+json"
    return Blob(
        to_json({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": list(layers)})
    )


def image_index(manifests: Sequence[tuple[Image, Blob]]) -> bytes:
    """Serialise ``index.json`` with the annotations by which engines find each image's name."""
    entries = [
        {
            "mediaType": f"{_OCI}.manifest.v1+json",
            "digest": f"sha256:{manifest.hex}",
            "size": len(manifest.content),
            "annotations": {
                "io.containerd.image.name": f"docker.io/{image.ref}",
                "org.opencontainers.image.ref.name": image.version,
            },
        }
        for image, manifest in manifests
    ]
    return to_json({"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": entries})


def write_oci(out: IO[bytes], images: Sequence[Image]) -> None:
    """Write what Docker 25 and later save: an OCI layout that is a docker archive too."""
    manifests = [(image, oci_manifest(image, [raw_descriptor(x) for x in image.layers])) for image in images]
    files: dict[str, bytes | Path | str] = {}
    for image, manifest in manifests:
        files[_blob(image.config_hex)] = image.config
        files[_blob(manifest.hex)] = manifest.content
        files.update({_blob(layer.diff_id): layer.path for layer in image.layers})
    files["oci-layout"] = to_json({"imageLayoutVersion": "1.0.0"})
    files["index.json"] = image_index(manifests)
    files["manifest.json"] = to_json([_oci_manifest_entry(image) for image in images])
    files["repositories"] = _repositories(images, {x.ref: x.layers[-1].diff_id for x in images})
    _write_sorted(out, ["blobs", "blobs/sha256"], files)


def write_classic(out: IO[bytes], images: Sequence[Image]) -> None:
    """Write what Docker 20.10 saves: a folder per layer and parent, repeated layers as links to the first.

    Members come in the order of their names, so a link may stand before its target and ``manifest.json``
    comes after all layers.
    """
    files: dict[str, bytes | Path | str] = {}
    folders: dict[str, None] = {}
    first_home: dict[str, str] = {}
    tops: dict[str, str] = {}
    entries: list[dict[str, Any]] = []
    for image in images:
        homes = _legacy_ids(image)
        for home, layer, parent in zip(homes, image.layers, [None, *homes[:-1]], strict=True):
            if home in folders:
                continue
            folders[home] = None
            files[f"{home}/VERSION"] = b"1.0"
            files[f"{home}/json"] = _legacy_json(home, parent)
            known = first_home.setdefault(layer.diff_id, home)
            files[f"{home}/layer.tar"] = layer.path if known == home else f"../{known}/layer.tar"
        files[f"{image.config_hex}.json"] = image.config
        tops[image.ref] = homes[-1]
        entries.append(_manifest_entry(image, f"{image.config_hex}.json", [f"{x}/layer.tar" for x in homes]))
    files["manifest.json"] = to_json(entries)
    files["repositories"] = _repositories(images, tops)
    _write_sorted(out, list(folders), files)


def _write_sorted(out: IO[bytes], folders: Sequence[str], files: dict[str, bytes | Path | str]) -> None:
    """Write members by name: a `Path` is a file's content, a text a link's target."""
    with open_tar(out) as tar:
        for name in sorted([*folders, *files]):
            content = files.get(name)
            if content is None:
                add_folder(tar, name)
            elif isinstance(content, str):
                add_entry(tar, Entry(name, link=content))
            elif isinstance(content, bytes):
                add_entry(tar, Entry.of(name, content))
            else:
                with content.open("rb") as source:
                    add_entry(tar, Entry(name, content.stat().st_size, source))


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest}"


def _manifest_entry(image: Image, config: str, layers: list[str]) -> dict[str, Any]:
    return {"Config": config, "RepoTags": [image.ref], "Layers": layers}


def _oci_manifest_entry(image: Image) -> dict[str, Any]:
    entry = _manifest_entry(image, _blob(image.config_hex), [_blob(x.diff_id) for x in image.layers])
    entry["LayerSources"] = {f"sha256:{x.diff_id}": raw_descriptor(x) for x in image.layers}
    return entry


def _repositories(images: Sequence[Image], tops: dict[str, str]) -> bytes:
    return to_json({image.name: {image.version: tops[image.ref]} for image in images})


def _legacy_ids(image: Image) -> list[str]:
    """Name each layer by all that is below it; the top one by the image's config too."""
    ids: list[str] = []
    for depth, layer in enumerate(image.layers, start=1):
        top = image.config_hex if depth == len(image.layers) else ""
        ids.append(hashlib.sha256(f"{ids[-1:]} {layer.diff_id} {top}".encode()).hexdigest())
    return ids


def _legacy_json(home: str, parent: str | None) -> bytes:
    document: dict[str, Any] = {"id": home, "created": CREATED, "os": "linux"}
    if parent is not None:
        document["parent"] = parent
    return to_json(document)
