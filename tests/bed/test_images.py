"""The made-up releases are what Docker saves: checked on the bytes, with no engine."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bed.images import Compression, Style, build_release, write_oci_layout
from binary_split.config import API_SERVICES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STYLES: list[Style] = ["oci", "classic"]
UNPACK: dict[Compression, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": zstd.decompress,
    "none": bytes,
}


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def read_json(tar: tarfile.TarFile, name: str) -> Any:
    return json.loads(read(tar, name))


@pytest.mark.parametrize("style", STYLES)
def test_same_arguments_make_the_same_bytes(tmp_path: Path, style: Style) -> None:
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    refs = build_release(first, "1.0.0", filler_bytes=100_000, style=style)
    assert build_release(second, "1.0.0", filler_bytes=100_000, style=style) == refs
    build_release(other, "1.0.0", filler_bytes=100_000, style=style, seed=1)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()
    assert sorted(x.name for x in tmp_path.iterdir()) == ["first", "other", "second"]


@pytest.mark.parametrize("style", STYLES)
def test_every_config_and_layer_has_the_digest_that_names_it(tmp_path: Path, style: Style) -> None:
    path = tmp_path / "release.tar"
    refs = build_release(path, "1.0.0", filler_bytes=100_000, style=style)
    assert list(refs) == [f"{name}:1.0.0" for name in API_SERVICES]
    with tarfile.open(path) as tar:
        for entry in read_json(tar, "manifest.json"):
            config = read(tar, entry["Config"])
            assert sha256(config) == refs[entry["RepoTags"][0]]
            # extractfile follows `../ID/layer.tar` as docker load does
            layers = [sha256(read(tar, layer)) for layer in entry["Layers"]]
            assert layers == json.loads(config)["rootfs"]["diff_ids"]


@pytest.mark.parametrize("style", STYLES)
def test_images_share_layers_and_each_is_stored_once(tmp_path: Path, style: Style) -> None:
    path = tmp_path / "release.tar"
    build_release(path, "1.0.0", filler_bytes=1_000_000, style=style)
    assert 1_000_000 < path.stat().st_size < 1_300_000
    with tarfile.open(path) as tar:
        files = [
            x
            for x in tar
            if x.isfile()
            and (x.name.endswith("layer.tar") or (x.name.startswith("blobs/") and x.size > 4096))
        ]
    assert len({x.name for x in files}) == len(files) == 2 + len(API_SERVICES) + 1


def test_a_newer_version_differs_in_its_own_layers_only(tmp_path: Path) -> None:
    layers = []
    for version in ("1.0.0", "1.1.0"):
        build_release(tmp_path / version, version, filler_bytes=10_000)
        with tarfile.open(tmp_path / version) as tar:
            layers.append([set(x["Layers"]) for x in read_json(tar, "manifest.json")])
    assert all(len(old & new) == 3 and len(old) == 4 for old, new in zip(*layers, strict=True))


def test_oci_style_is_also_an_image_layout_that_names_its_images(tmp_path: Path) -> None:
    path = tmp_path / "release.tar"
    refs = build_release(path, "1.0.0")
    with tarfile.open(path) as tar:
        assert read_json(tar, "oci-layout") == {"imageLayoutVersion": "1.0.0"}
        names = tar.getnames()
        found = {}
        for entry in read_json(tar, "index.json")["manifests"]:
            name = entry["annotations"]["io.containerd.image.name"].removeprefix("docker.io/")
            content = read(tar, "blobs/sha256/" + entry["digest"].removeprefix("sha256:"))
            assert (sha256(content), len(content)) == (entry["digest"], entry["size"])
            found[name] = json.loads(content)["config"]["digest"]
    assert found == refs
    assert names[:2] == ["blobs", "blobs/sha256"]
    assert names[-4:] == ["index.json", "manifest.json", "oci-layout", "repositories"]


def test_classic_style_aliases_repeated_layers_and_ends_with_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "release.tar"
    build_release(path, "1.0.0", style="classic")
    with tarfile.open(path) as tar:
        links = [x for x in tar if x.issym()]
        names = tar.getnames()
        assert names == sorted(names)
        assert names[-2:] == ["manifest.json", "repositories"]
        assert len(links) == len(API_SERVICES) - 1
        assert all(x.name.endswith("/layer.tar") for x in links)
        targets = {x.linkname.removeprefix("../") for x in links}
        assert len(targets) == 1
        assert tar.getmember(targets.pop()).isfile()
        tops = read_json(tar, "repositories")
        top = tops["azaion/flights"]["1.0.0"]
        assert read_json(tar, f"{top}/json")["id"] == top
        assert read(tar, f"{top}/VERSION") == b"1.0"


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_an_oci_layout_folder_holds_compressed_layers(tmp_path: Path, compression: Compression) -> None:
    folder = tmp_path / "layout"
    refs = write_oci_layout(folder, "1.0.0", filler_bytes=50_000, compression=compression)
    blobs = {x.name: x.read_bytes() for x in (folder / "blobs" / "sha256").iterdir()}
    assert all(sha256(content) == f"sha256:{name}" for name, content in blobs.items())
    unpack = UNPACK[compression]
    for entry in json.loads((folder / "index.json").read_bytes())["manifests"]:
        manifest = json.loads(blobs[entry["digest"][7:]])
        assert manifest["config"]["digest"] in refs.values()
        config = json.loads(blobs[manifest["config"]["digest"][7:]])
        unpacked = [sha256(unpack(blobs[layer["digest"][7:]])) for layer in manifest["layers"]]
        assert unpacked == config["rootfs"]["diff_ids"]


@pytest.mark.parametrize("style", STYLES)
def test_memory_does_not_grow_with_the_size(tmp_path: Path, style: Style) -> None:
    tracemalloc.start()
    try:
        build_release(tmp_path / "release.tar", "1.0.0", filler_bytes=64 << 20, style=style)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
