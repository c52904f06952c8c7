"""One forward pass over a tar notices every part that is missing, damaged or another."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bed.images import Style
from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError, ImageIncompleteError
from binary_split.oci.compression import Compression
from binary_split.oci.image_tar import ImageTar
from binary_split.oci.images import index_images
from binary_split.oci.scan import ScannedTar, scan_images
from tests.oci.kit import Parts, every_style, make_release, manifest_of, pack, unpack, with_manifest


def scan(tar: bytes, step: int = 4096) -> ScannedTar:
    return scan_images(tar[at : at + step] for at in range(0, len(tar), step))


def compressed(parts: Parts) -> Parts:
    """Store every layer under the same name, but compressed."""
    layers = {name for entry in manifest_of(parts) for name in entry["Layers"]}
    return {
        name: gzip.compress(content, mtime=0) if name in layers and isinstance(content, bytes) else content
        for name, content in parts.items()
    }


@every_style
def test_every_image_is_found_with_its_id(tmp_path: Path, style: Style) -> None:
    content, ids = make_release(tmp_path, style)
    images = index_images(scan(content).images)
    assert {str(ref): str(image.config.digest) for ref, image in images.items()} == ids


@every_style
def test_the_size_of_the_chunks_does_not_matter(tmp_path: Path, style: Style) -> None:
    content, _ids = make_release(tmp_path, style)
    for tar in (content, pack(compressed(unpack(content))) if style == "classic" else content):
        expected = scan(tar)
        for step in (1, 3, 511, 513, len(tar)):
            assert scan(tar, step) == expected


def test_compressed_layers_of_old_names_are_looked_through(tmp_path: Path) -> None:
    scanned = scan(pack(compressed(unpack(make_release(tmp_path, "classic")[0]))))
    for image, layout in zip(scanned.images, scanned.layout(), strict=True):
        assert {layer.compression for layer in layout.layers} == {Compression.GZIP}
        assert tuple(layer.diff_id for layer in layout.layers) == image.config.diff_ids


@every_style
def test_a_flipped_bit_in_any_layer_is_noticed_and_the_image_named(tmp_path: Path, style: Style) -> None:
    parts = unpack(make_release(tmp_path, style)[0])
    for name in {name for entry in manifest_of(parts) for name in entry["Layers"]}:
        content = parts[name]
        if isinstance(content, bytes):
            damaged = content[:600] + bytes([content[600] ^ 1]) + content[601:]
            with pytest.raises(ImageIncompleteError, match="damaged"):
                scan(pack({**parts, name: damaged}))


@pytest.mark.fault(20)
@every_style
def test_a_part_that_is_missing_is_noticed(tmp_path: Path, style: Style) -> None:
    parts = unpack(make_release(tmp_path, style)[0])
    entry = manifest_of(parts)[0]
    for name in (entry["Config"], *entry["Layers"]):
        if isinstance(parts[name], bytes):
            without = {each: content for each, content in parts.items() if each != name}
            with pytest.raises(ImageIncompleteError, match="the tar lacks"):
                scan(pack(without))


@pytest.mark.fault(20)
def test_a_blob_that_is_not_what_its_name_says_is_noticed(tmp_path: Path) -> None:
    parts = unpack(make_release(tmp_path, "oci")[0])
    config = manifest_of(parts)[0]["Config"]
    content = parts[config]
    assert isinstance(content, bytes)
    with pytest.raises(ImageIncompleteError, match=r"the blob .* is damaged"):
        scan(pack({**parts, config: content.replace(b"1000:1000", b"0000:0000")}))
    with pytest.raises(ImageIncompleteError, match=r"the blob .* is damaged"):
        scan(pack({**parts, "blobs/sha256/" + "0" * 64: b"named by nobody"}))


def test_layers_in_another_order_are_noticed(tmp_path: Path) -> None:
    parts = unpack(make_release(tmp_path, "classic")[0])
    entry = manifest_of(parts)[0]
    entry["Layers"] = entry["Layers"][1::-1] + entry["Layers"][2:]
    with pytest.raises(ImageIncompleteError, match="is damaged: it is"):
        scan(with_manifest(parts, [entry]))


def test_a_config_that_is_no_json_is_an_incomplete_image(tmp_path: Path) -> None:
    parts = unpack(make_release(tmp_path, "classic")[0])
    with pytest.raises(ImageIncompleteError, match="image config"):
        scan(pack({**parts, manifest_of(parts)[0]["Config"]: b"no JSON"}))


def test_a_tar_that_is_cut_off_or_no_image_archive_is_refused(tmp_path: Path) -> None:
    content, _ids = make_release(tmp_path, "oci")
    for size in range(0, len(content) - 10_240, 3001):
        with pytest.raises(ArchiveFormatError):
            scan(content[:size])
    parts = unpack(content)
    del parts["manifest.json"]
    with pytest.raises(ArchiveFormatError, match="no image archive"):
        scan(pack(parts))


def test_documents_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, _ids = make_release(tmp_path, "oci")
    monkeypatch.setattr("binary_split.oci.scan.LIMITS", replace(LIMITS, documents_bytes=1000))
    with pytest.raises(ArchiveFormatError, match="too many documents"):
        scan(content)


def test_the_source_is_read_to_its_very_end(tmp_path: Path) -> None:
    content, _ids = make_release(tmp_path, "oci")
    read = 0

    def chunks() -> Iterator[bytes]:
        nonlocal read
        source = io.BytesIO(content + bytes(50_000))
        while chunk := source.read(1000):
            read += len(chunk)
            yield chunk

    scan_images(chunks())
    assert read == len(content) + 50_000


@pytest.mark.fault(19)
@pytest.mark.slow
def test_eight_gibibytes_of_zeros_behind_the_end_take_no_memory(tmp_path: Path) -> None:
    content, _ids = make_release(tmp_path, "oci")
    zeros = memoryview(bytes(1 << 20))
    tracemalloc.start()
    try:
        found = scan_images(itertools.chain([content], itertools.repeat(zeros, 8 << 10)))
        assert tracemalloc.get_traced_memory()[1] < (4 << 20) + len(content)
    finally:
        tracemalloc.stop()
    assert index_images(found.images).keys() == index_images(scan(content).images).keys()


@pytest.mark.fault(19)
def test_eight_gibibytes_of_zeros_behind_the_end_are_not_even_read_where_one_can_seek(tmp_path: Path) -> None:
    content, ids = make_release(tmp_path, "oci")
    path = tmp_path / "long.tar"
    path.write_bytes(content)
    os.truncate(path, len(content) + (8 << 30))

    class Counting(io.FileIO):
        count = 0

        def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
            size = super().readinto(buffer) or 0
            self.count += size
            return size

        def read(self, size: int | None = -1, /) -> bytes:
            content = super().read(size) or b""
            self.count += len(content)
            return content

    with Counting(path) as source:
        found = ImageTar(source)
        assert {str(ref) for ref in index_images(found.images)} == set(ids)
        assert 0 < source.count < 1 << 20


def test_what_flows_by_is_given_on_byte_for_byte(tmp_path: Path) -> None:
    content, _ids = make_release(tmp_path, "oci")
    kept: dict[str, bytes] = {}

    def keep(name: str, chunk: memoryview) -> None:
        kept[name] = kept.get(name, b"") + chunk

    scan_images([content], keep)
    assert dict[str, bytes | str](kept) == unpack(content)


def test_any_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    content, ids = make_release(tmp_path, "oci")
    places = st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255))

    @settings(max_examples=60)
    @given(st.lists(places, min_size=1, max_size=3))
    def scan_damaged(changes: list[tuple[int, int]]) -> None:
        tar = bytearray(content)
        for at, bits in changes:
            tar[at] ^= bits
        try:
            images = index_images(scan(bytes(tar)).images)
        except (ArchiveFormatError, ImageIncompleteError):
            return
        assert {str(image.config.digest) for image in images.values()} <= set(ids.values())

    scan_damaged()
