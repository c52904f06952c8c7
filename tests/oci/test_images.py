"""What an image tar says of its images is parsed strictly, and never believed further than it goes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bed.images import Style
from binary_split.config import KIB, LIMITS
from binary_split.errors import ArchiveFormatError
from binary_split.oci.blob import hash_blob
from binary_split.oci.images import ImageConfig, index_images, parse_json
from tests.oci.kit import every_style, make_release, manifest_of, open_tar, pack, unpack, with_manifest

DIFF_ID = "sha256:" + "a" * 64
CONFIG: dict[str, Any] = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [DIFF_ID]}}


@every_style
def test_each_image_is_found_with_its_id_and_layers(tmp_path: Path, style: Style) -> None:
    content, ids = make_release(tmp_path, style)
    tar = open_tar(content)
    found = index_images(tar.images)
    assert {str(ref): str(image.config.digest) for ref, image in found.items()} == ids
    for image in tar.images:
        diff_ids = tuple(hash_blob(tar.chunks(name)).diff_id for name in image.layers)
        assert diff_ids == image.config.diff_ids
        assert image.config.platform.startswith("linux/")


@pytest.mark.fault(18)
def test_old_aliases_of_shared_layers_lead_to_the_one_file(tmp_path: Path) -> None:
    content, _ids = make_release(tmp_path, "classic")
    parts = unpack(content)
    aliases = {name: target for name, target in parts.items() if isinstance(target, str)}
    assert aliases
    assert all(target.startswith("../") and target.endswith("/layer.tar") for target in aliases.values())
    tar = open_tar(content)
    named = {name for entry in manifest_of(parts) for name in entry["Layers"]}
    assert named & aliases.keys()
    assert not {name for image in tar.images for name in image.layers} & aliases.keys()


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    "links",
    [
        {"x/layer.tar": "../y/layer.tar"},
        {"x/layer.tar": "../x/layer.tar"},
        {"x/layer.tar": "../y/layer.tar", "y/layer.tar": "../x/layer.tar"},
        {"x/layer.tar": "/etc/passwd"},
        {"x/layer.tar": "../../../etc/passwd"},
        {"x/layer.tar": ""},
    ],
    ids=["dangling", "itself", "loop", "absolute", "out of the tar", "nowhere"],
)
def test_an_alias_that_leads_to_no_file_is_refused(tmp_path: Path, links: dict[str, str]) -> None:
    parts = unpack(make_release(tmp_path, "classic")[0])
    entry = manifest_of(parts)[0] | {"Layers": ["x/layer.tar"]}
    with pytest.raises(ArchiveFormatError, match="the tar lacks"):
        open_tar(with_manifest({**parts, **links}, [entry]))


@pytest.mark.fault(20)
@every_style
def test_a_missing_part_is_named(tmp_path: Path, style: Style) -> None:
    parts = unpack(make_release(tmp_path, style)[0])
    entry = manifest_of(parts)[0]
    real_layers = [name for name in entry["Layers"] if isinstance(parts[name], bytes)]
    for name in (entry["Config"], *real_layers):
        without = {each: content for each, content in parts.items() if each != name}
        with pytest.raises(ArchiveFormatError, match="the tar lacks"):
            open_tar(pack(without))


@every_style
def test_a_config_that_is_not_the_one_named_gives_another_id(tmp_path: Path, style: Style) -> None:
    content, ids = make_release(tmp_path, style)
    parts = unpack(content)
    name = manifest_of(parts)[0]["Config"]
    config = parts[name]
    assert isinstance(config, bytes)
    forged = config.replace(b"1000:1000", b"0000:0000")
    assert forged != config
    images = index_images(open_tar(pack({**parts, name: forged})).images)
    digests = {str(ref): str(image.config.digest) for ref, image in images.items()}
    assert digests != ids
    assert f"sha256:{hashlib.sha256(forged).hexdigest()}" in digests.values()


Change = Callable[[dict[str, Any]], object]

BAD_MANIFESTS: dict[str, object] = {
    "no JSON": b"[{",
    "no UTF-8": b"[\xff]",
    "a mapping": {},
    "a null": None,
    "a number": 5,
    "of numbers": [1],
    "of texts": ["x"],
    "of lists": [[]],
    "of nulls": [None],
    "too deep": b"[" * 100_000,
    "an endless number": b"[" + b"1" * 10_000 + b"]",
}


@pytest.mark.fault(20)
@pytest.mark.parametrize("document", BAD_MANIFESTS.values(), ids=BAD_MANIFESTS.keys())
def test_a_malformed_manifest_is_refused(tmp_path: Path, document: object) -> None:
    parts = unpack(make_release(tmp_path, "oci")[0])
    with pytest.raises(ArchiveFormatError, match=r"manifest\.json"):
        open_tar(with_manifest(parts, document))


BAD_ENTRIES: dict[str, dict[str, Any]] = {
    "config null": {"Config": None},
    "config a number": {"Config": 1},
    "config outside": {"Config": "../config"},
    "config a folder": {"Config": "blobs"},
    "layers a number": {"Layers": 1},
    "layers a text": {"Layers": "oci-layout"},
    "layers of numbers": {"Layers": [1]},
    "too few layers": {"Layers": []},
    "layers null": {"Layers": None},
    "tags a number": {"RepoTags": 1},
    "tags a text": {"RepoTags": "abc"},
    "tags a mapping": {"RepoTags": {"a:1": 1}},
    "tags of numbers": {"RepoTags": [1]},
    "tags no reference": {"RepoTags": ["<script>:1"]},
    "tags twice": {"RepoTags": ["a:1", "docker.io/library/a:1"]},
}


@pytest.mark.parametrize("change", BAD_ENTRIES.values(), ids=BAD_ENTRIES.keys())
def test_a_malformed_entry_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    parts = unpack(make_release(tmp_path, "oci")[0])
    with pytest.raises(ArchiveFormatError):
        open_tar(with_manifest(parts, [manifest_of(parts)[0] | change]))


@pytest.mark.parametrize("key", ["Config", "Layers", "RepoTags"])
def test_an_entry_that_lacks_a_field_is_refused(tmp_path: Path, key: str) -> None:
    parts = unpack(make_release(tmp_path, "oci")[0])
    entry = manifest_of(parts)[0]
    del entry[key]
    with pytest.raises(ArchiveFormatError, match="not what `docker save` writes"):
        open_tar(with_manifest(parts, [entry]))


def test_an_image_without_a_reference_is_allowed_and_found_by_none(tmp_path: Path) -> None:
    parts = unpack(make_release(tmp_path, "oci")[0])
    tar = open_tar(with_manifest(parts, [manifest_of(parts)[0] | {"RepoTags": None}]))
    assert [image.refs for image in tar.images] == [()]
    assert index_images(tar.images) == {}


def test_two_images_of_one_reference_are_refused(tmp_path: Path) -> None:
    parts = unpack(make_release(tmp_path, "oci")[0])
    first, second = manifest_of(parts)
    with pytest.raises(ArchiveFormatError, match="a reference twice"):
        open_tar(with_manifest(parts, [first, second | {"RepoTags": first["RepoTags"]}]))


BAD_CONFIGS: dict[str, Any] = {
    "empty": b"",
    "a list": [],
    "no platform": {"rootfs": {"diff_ids": []}},
    "no layers": {"os": "linux", "architecture": "amd64"},
    "layers null": CONFIG | {"rootfs": {"diff_ids": None}},
    "layers of numbers": CONFIG | {"rootfs": {"diff_ids": [1]}},
    "layers no digests": CONFIG | {"rootfs": {"diff_ids": ["sha256:x"]}},
    "rootfs null": CONFIG | {"rootfs": None},
    "os null": CONFIG | {"os": None},
    "os a mapping": CONFIG | {"os": {}},
    "os empty": CONFIG | {"os": ""},
    "os with a control character": CONFIG | {"os": "\x1b[2J"},
    "os with half a character": CONFIG | {"os": "\ud800"},
    "architecture with a slash": CONFIG | {"architecture": "a/b/c"},
    "architecture endless": CONFIG | {"architecture": "a" * 1000},
}


@pytest.mark.parametrize("document", BAD_CONFIGS.values(), ids=BAD_CONFIGS.keys())
def test_a_malformed_config_is_refused(document: Any) -> None:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ArchiveFormatError, match="image config"):
        ImageConfig.parse(content)


def test_the_bytes_of_a_config_are_its_identity() -> None:
    spaced, compact = json.dumps(CONFIG).encode(), json.dumps(CONFIG, separators=(",", ":")).encode()
    first, second = ImageConfig.parse(spaced), ImageConfig.parse(compact)
    assert (first.content, first.digest.hex) == (spaced, hashlib.sha256(spaced).hexdigest())
    assert first.digest != second.digest
    assert first.diff_ids == second.diff_ids
    assert first.platform == "linux/amd64"


def test_documents_are_bounded_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, _ids = make_release(tmp_path, "oci")
    for module, field, words in (
        ("image_tar", "manifest_bytes", r"no usable manifest\.json"),
        ("images", "image_config_bytes", "too large"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"binary_split.oci.{module}.LIMITS", replace(LIMITS, **{field: 300}))
            with pytest.raises(ArchiveFormatError, match=words):
                open_tar(content)


def test_a_config_that_is_named_again_and_again_is_not_held_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = unpack(make_release(tmp_path, "oci")[0])
    entry = manifest_of(parts)[0] | {"RepoTags": None}
    monkeypatch.setattr("binary_split.oci.images.LIMITS", replace(LIMITS, documents_bytes=8 * KIB))
    assert len(open_tar(with_manifest(parts, [entry] * 2)).images) == 2
    with pytest.raises(ArchiveFormatError, match="too many documents"):
        open_tar(with_manifest(parts, [entry] * 1000))


@pytest.mark.parametrize("drop", ["missing", "a link", "a folder"])
def test_a_tar_without_a_usable_manifest_is_no_image_archive(tmp_path: Path, drop: str) -> None:
    parts = unpack(make_release(tmp_path, "oci")[0])
    del parts["manifest.json"]
    if drop == "a link":
        parts["manifest.json"] = "index.json"
    if drop == "a folder":
        parts["manifest.json/x"] = b""
    with pytest.raises(ArchiveFormatError, match="it is no image archive"):
        open_tar(pack(parts))


def test_parsing_json_says_what_was_expected() -> None:
    assert parse_json(b'{"a": [1]}', what="x", kind=dict) == {"a": [1]}
    with pytest.raises(ArchiveFormatError, match="an index is not what it should be"):
        parse_json(b"[]", what="an index", kind=dict)
    with pytest.raises(ArchiveFormatError, match="an index is not valid JSON"):
        parse_json(b"{", what="an index", kind=dict)
