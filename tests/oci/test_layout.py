"""The tar that we write: the same bytes every time, loadable by others, and ended only if it is whole."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bed.images import Style
from binary_split.errors import ArchiveDamagedError, BinarySplitError
from binary_split.model import Digest, ImageRef
from binary_split.oci.blob import Blob, hash_blob, hash_bytes
from binary_split.oci.compression import Compression
from binary_split.oci.image_tar import ImageTar
from binary_split.oci.images import index_images
from binary_split.oci.layout import LayoutImage, LayoutTar, blob_path, serialise_index
from binary_split.oci.tar import END
from tests.oci.kit import every_style, make_release, open_tar, read


def written_again(tar: bytes) -> bytes:
    return b"".join(map(bytes, Release(open_tar(tar)).write().chunks()))


Spoil = Callable[[bytes], bytes]


class Release:
    """A release opened for writing it again; layers may be spoiled on the way."""

    def __init__(self, tar: ImageTar) -> None:
        self.tar = tar
        self.members: dict[Blob, str] = {}
        self.images = tuple(map(self._lay_out, tar.images))
        self.layers = tuple(self.members)
        self.opened: list[Blob] = []

    def _lay_out(self, image: object) -> LayoutImage:
        assert image in self.tar.images
        found = next(each for each in self.tar.images if each == image)
        layers = tuple(hash_blob(self.tar.chunks(name)) for name in found.layers)
        self.members.update(zip(layers, found.layers, strict=True))
        return LayoutImage(found.refs, found.config, layers)

    def write(self, spoil: tuple[Blob, Spoil] | None = None) -> LayoutTar:
        def open_layer(layer: Blob) -> Iterator[bytes]:
            self.opened.append(layer)
            content = read(self.tar, self.members[layer])
            yield spoil[1](content) if spoil and spoil[0] == layer else content

        return LayoutTar(self.images, self.layers, open_layer)


@pytest.fixture(params=["oci", "classic"])
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Release:
    style: Style = request.param
    return Release(open_tar(make_release(tmp_path, style)[0]))


def test_the_stated_size_is_exact_and_the_bytes_are_always_the_same(release: Release) -> None:
    first, second = (b"".join(map(bytes, release.write().chunks())) for _ in range(2))
    assert first == second
    assert len(first) == release.write().size
    assert first.endswith(END)


@every_style
def test_what_comes_out_is_the_same_whichever_way_it_was_saved(tmp_path: Path, style: Style) -> None:
    content, ids = make_release(tmp_path, style)
    written = written_again(content)
    images = index_images(open_tar(written).images)
    assert {str(ref): str(image.config.digest) for ref, image in images.items()} == ids
    assert written_again(written) == written


def test_each_blob_is_once_in_it_under_its_digest(release: Release) -> None:
    content = b"".join(map(bytes, release.write().chunks()))
    assert len(release.opened) == len(set(release.opened)) == len(release.layers)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = tar.getmembers()
        names = [member.name for member in members]
        assert len(set(names)) == len(names)
        for member in members:
            file = tar.extractfile(member)
            assert file
            if member.name.startswith("blobs/"):
                assert member.name == blob_path(hash_bytes(file.read()))
    layers = [blob_path(layer.digest) for layer in release.layers]
    assert names[: len(layers)] == layers
    assert names[-3:] == ["oci-layout", "index.json", "manifest.json"]


def test_manifests_and_index_lead_from_name_to_layers(release: Release) -> None:
    tar = open_tar(b"".join(map(bytes, release.write().chunks())))
    index = json.loads(read(tar, "index.json"))
    assert index["schemaVersion"] == 2
    found = {}
    for entry in index["manifests"]:
        manifest = json.loads(content := read(tar, blob_path(Digest.parse(entry["digest"]))))
        assert (str(hash_bytes(content)), len(content)) == (entry["digest"], entry["size"])
        for part in (manifest["config"], *manifest["layers"]):
            member = tar.members["blobs/sha256/" + part["digest"].removeprefix("sha256:")]
            assert member.size == part["size"]
        found[entry["annotations"]["io.containerd.image.name"]] = manifest["config"]["digest"]
    assert found == {
        f"{ref.canonical_name}:{ref.tag}": str(image.config.digest)
        for image in release.images
        for ref in image.refs
    }


def test_an_image_of_several_names_has_an_entry_for_each(release: Release) -> None:
    refs = tuple(map(ImageRef.parse, ("a:1", "b/c:2", "h.example:5000/d:3")))
    image = LayoutImage(refs, release.images[0].config, release.images[0].layers)
    entries = json.loads(serialise_index([image]))["manifests"]
    assert [entry["annotations"]["io.containerd.image.name"] for entry in entries] == [
        "docker.io/library/a:1",
        "docker.io/b/c:2",
        "h.example:5000/d:3",
    ]
    assert {entry["digest"] for entry in entries} == {str(image.manifest_digest)}


def flip(content: bytes) -> bytes:
    return content[:700] + bytes([content[700] ^ 1]) + content[701:]


def shorten(content: bytes) -> bytes:
    return content[:-1]


def lengthen(content: bytes) -> bytes:
    return content + b"\0"


def nothing(content: bytes) -> bytes:
    return content[:0]


def other_kind(content: bytes) -> bytes:
    return b"\x1f\x8b" + content[2:]


@pytest.mark.parametrize("spoil", [flip, shorten, lengthen, nothing, other_kind])
def test_a_damaged_layer_means_that_no_name_and_no_end_come_out(release: Release, spoil: Spoil) -> None:
    for damaged in release.layers:
        out = bytearray()
        chunks = release.write((damaged, spoil)).chunks()
        with pytest.raises(BinarySplitError) as caught:
            out.extend(byte for chunk in chunks for byte in chunk)
        assert caught.value.exit_code in {12, 13}
        if spoil is not other_kind:
            assert type(caught.value) is ArchiveDamagedError
        for word in (b"manifest.json", b"index.json", b"oci-layout", b"RepoTags"):
            assert word not in out
        assert not out.endswith(END) or len(out) < release.write().size - 3000
        assert list(chunks) == []


def test_a_tar_of_nothing_is_a_tar() -> None:
    tar = LayoutTar((), (), lambda _layer: ())
    content = b"".join(map(bytes, tar.chunks()))
    assert len(content) == tar.size
    assert open_tar(content).images == ()


def gzipped_as(diff_id: Digest, content: bytes, *, plain_size: int | None) -> Iterator[memoryview | bytes]:
    """Write one compressed layer of which a diff id is said."""
    found = hash_blob([content])
    layer = replace(found, diff_id=diff_id, plain_size=plain_size)
    return LayoutTar((), (layer,), lambda _layer: iter([content])).chunks()


def test_a_compressed_layer_that_holds_another_than_its_diff_id_says_is_refused() -> None:
    content = gzip.compress(b"a layer")
    assert b"".join(map(bytes, gzipped_as(hash_bytes(b"a layer"), content, plain_size=None)))
    with pytest.raises(ArchiveDamagedError):
        list(gzipped_as(hash_bytes(b"another"), content, plain_size=None))


def test_a_compressed_layer_of_which_both_digests_are_stated_is_not_decompressed() -> None:
    content = b"\x1f\x8b" + b"as stated, and no gzip at all"
    stated = Blob(hash_bytes(content), hash_bytes(b"plain"), len(content), Compression.GZIP, plain_size=5)
    written = LayoutTar((), (stated,), lambda _layer: iter([content])).chunks()
    assert content in b"".join(map(bytes, written))
