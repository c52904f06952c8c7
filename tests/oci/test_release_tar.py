"""The release tar: one order, the same bytes every time, and an image archive to everybody else."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bed.dockerd import PrivateDockerd
from bed.images import Style, build_release
from binary_split.model import ImageRef
from binary_split.oci.blob import Blob, hash_bytes
from binary_split.oci.compression import Compression
from binary_split.oci.images import ImageConfig
from binary_split.oci.layout import LayoutImage, blob_path
from binary_split.oci.release_contents import ReleaseContents
from binary_split.oci.release_tar import ReleaseTar, order_layers, state_blobs, state_images
from binary_split.oci.statement import ReleaseStatement
from binary_split.oci.tar import serialise_header
from binary_split.sealing import export_docker_archive, seal_age
from tests.archives import FRAGMENT, parse_pins
from tests.commandline import CommandLine
from tests.releases import (
    CREATED,
    KEY,
    KEY_ID,
    NAMES,
    RECORD,
    TRUST,
    layer_names,
    make_age_release,
    make_order,
    member_offsets,
    open_archive,
    read_statement,
    signer,
    unpack,
)

GIB = 1 << 30
HEAD = ["oci-layout", "release.json", "index.json", "manifest.json"]


@pytest.mark.parametrize("style", ["oci", "classic"])
def test_the_members_come_in_the_order_of_the_format(tmp_path: Path, style: Style) -> None:
    plain = make_age_release(tmp_path, style=style, names=(*NAMES, "azaion/detections")).plain
    parts = unpack(plain)
    names = [name for name, _content in parts]
    predicate = read_statement(parts)["predicate"]
    documents = [
        f"blobs/sha256/{image[kind].removeprefix('sha256:')}"
        for image in predicate["images"]
        for kind in ("config", "manifest")
    ]
    layers = layer_names(parts)
    assert names == [*HEAD, *documents, *layers]
    uses = [sum(diff_id in image["diff_ids"] for image in predicate["images"]) for diff_id in diff_ids(parts)]
    assert uses == [3, 3, 3, 1, 1, 1]
    assert len(names) == len(set(names))


def diff_ids(parts: list[tuple[str, bytes]]) -> list[str]:
    return [row["diff_id"] for row in read_statement(parts)["predicate"]["blobs"] if "diff_id" in row]


def test_each_blob_is_named_by_its_digest(tmp_path: Path) -> None:
    for name, content in unpack(make_age_release(tmp_path).plain)[4:]:
        assert name == blob_path(hash_bytes(content))


def test_manifests_lead_from_the_index_to_the_layers(tmp_path: Path) -> None:
    release = make_age_release(tmp_path)
    files = dict(unpack(release.plain))
    found = {}
    for entry in json.loads(files["index.json"])["manifests"]:
        manifest = json.loads(blob(files, entry))
        config = json.loads(blob(files, manifest["config"]))
        assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"])
        assert all(blob(files, layer) for layer in manifest["layers"])
        found[entry["annotations"]["io.containerd.image.name"]] = manifest["config"]["digest"]
    assert found == {f"docker.io/{ref}": str(digest) for ref, digest in release.pins.items()}
    rows = json.loads(files["manifest.json"])
    assert {row["RepoTags"][0]: row["Config"] for row in rows} == {
        str(ref): blob_path(digest) for ref, digest in release.pins.items()
    }


def blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    content = files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
    assert len(content) == descriptor["size"]
    return content


class TestSameInputSameBytes:
    @pytest.mark.parametrize("compression", list(Compression))
    def test_two_seals_of_one_tar_hold_the_same_plaintext(
        self, tmp_path: Path, compression: Compression
    ) -> None:
        tar = tmp_path / "save.tar"
        refs = build_release(tar, "1.0.0", names=NAMES, filler_bytes=3_000_000, filler_kind="zeros")
        archives = []
        for _ in range(2):
            sink = io.BytesIO()
            order = make_order(parse_pins(refs), compression=compression)
            seal_age(order, export_docker_archive(tar)[0], sink, spool_folder=tmp_path)
            archives.append(sink.getvalue())
        assert open_archive(archives[0]) == open_archive(archives[1])
        assert archives[0][-1000:] != archives[1][-1000:]  # the file key is another one

    def test_both_ways_to_save_give_the_same_layers_and_configs(self, tmp_path: Path) -> None:
        oci, classic = (
            unpack(make_age_release(tmp_path / style, style=style).plain) for style in ("oci", "classic")
        )
        assert oci == classic

    def test_the_program_does_so_with_source_date_epoch_and_key(
        self, cli: CommandLine, tmp_path: Path
    ) -> None:
        (tmp_path / "fragment").write_bytes(FRAGMENT)
        (tmp_path / "key").write_bytes(KEY.serialise())
        build_release(tmp_path / "save.tar", "1.0.0", names=NAMES, filler_bytes=100_000)
        images = [part for name in NAMES for part in ("--image", name)]
        origin = ["--version", "1.0.0", "--from", f"docker-archive:{tmp_path / 'save.tar'}", *images]
        opener = ["--key-id", KEY_ID, "--fragment-file", tmp_path / "fragment"]
        plain = []
        for epoch, name in (("1700000000", "a"), ("1700000000", "b"), ("1700000001", "c")):
            here = cli.with_environment(SOURCE_DATE_EPOCH=epoch)
            ran = here.run("seal", *origin, *opener, "--sign", tmp_path / "key", "-o", tmp_path / name)
            assert ran.status == 0, ran
            plain.append(open_archive((tmp_path / name).read_bytes()))
        assert plain[0] == plain[1] != plain[2]
        assert read_statement(unpack(plain[0]))["predicate"]["created"] == "2023-11-14T22:13:20Z"


class LargeRelease:
    """A release with a layer of 9 GiB that is stated but never written: the file has a hole there."""

    def __init__(self) -> None:
        content = b"the last layer"
        digest = hash_bytes(content)
        self.huge = Blob(hash_bytes(b"huge"), hash_bytes(b"huge"), 9 * GIB, Compression.NONE, 9 * GIB)
        self.small = Blob(digest, digest, len(content), Compression.NONE, len(content))
        self.content = content
        layers = (self.huge, self.small)
        rootfs = {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
        self.images = (LayoutImage((ImageRef.parse("a/b:1"),), ImageConfig.parse(config), layers),)

    def tar(self, open_layer: Callable[[Blob], Iterator[bytes]]) -> ReleaseTar:
        layers = order_layers(self.images)
        statement = ReleaseStatement(
            product="large",
            version="1",
            sequence=1,
            created=CREATED,
            images=state_images(self.images),
            blobs=state_blobs(self.images, layers),
        )
        return ReleaseTar(signer(KEY)(statement.serialise()), self.images, layers, open_layer)


class TestBeyond8Gib:
    def test_the_size_in_a_header_is_base_256(self) -> None:
        for size in (8 * GIB - 1, 8 * GIB, 9 * GIB, 200 * GIB):
            header = serialise_header("x", size)
            assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == size
            assert header[124:125] == (b"7" if size < 8 * GIB else b"\x80")

    def test_every_offset_follows_from_the_head(self, tmp_path: Path) -> None:
        release = LargeRelease()
        path = tmp_path / "large.tar"
        with path.open("wb") as out:

            def open_layer(layer: Blob) -> Iterator[bytes]:
                if layer == release.huge:
                    out.seek(layer.size, io.SEEK_CUR)
                    return
                yield release.content

            tar = release.tar(open_layer)
            for chunk in tar.chunks():
                out.write(chunk)
        assert path.stat().st_size == tar.size > 9 * GIB
        with path.open("rb", buffering=0) as source:
            contents = ReleaseContents(source, TRUST.open_envelope)
            contents.verify_end()
            assert b"".join(map(bytes, contents.chunks(blob_path(release.small.digest)))) == release.content
            with tarfile.open(path) as opened:
                real = {each.name: (each.offset_data, each.size) for each in opened}
            assert {
                name: (member.offset, member.size) for name, member in contents.members.items()
            }.items() <= real.items()
            first = next(iter(contents.chunks(blob_path(release.huge.digest))))
            assert bytes(first) == bytes(len(first))


def test_an_offset_from_the_head_is_the_real_one(tmp_path: Path) -> None:
    plain = make_age_release(tmp_path, filler_kind="random").plain
    contents = ReleaseContents(io.BytesIO(plain), TRUST.open_envelope)
    real = {name: (offset, size) for name, offset, size in member_offsets(plain)}
    for name, member in contents.members.items():
        assert (member.offset, member.size) == real[name]
        assert name == blob_path(hash_bytes(plain[member.offset : member.offset + member.size]))
    last = max(contents.members.values(), key=lambda member: member.offset)
    assert last.offset + -(-last.size // RECORD) * RECORD + 2 * RECORD == len(plain)


class TestOthersReadIt:
    @pytest.fixture(params=list(Compression), ids=lambda kind: kind.name.lower())
    def plain(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        release = make_age_release(tmp_path, names=NAMES[:1], compression=request.param)
        path = tmp_path / "plain.tar"
        path.write_bytes(release.plain)
        return path

    def test_skopeo_reads_it_as_an_oci_archive(self, plain: Path, program: Callable[[str], Path]) -> None:
        shown = json.loads(run(program("skopeo"), "inspect", f"oci-archive:{plain}"))
        layers = [f"sha256:{name.rpartition('/')[2]}" for name in layer_names(unpack(plain.read_bytes()))]
        assert sorted(shown["Layers"]) == sorted(layers)

    def test_skopeo_copies_it_with_every_digest_checked(
        self, plain: Path, program: Callable[[str], Path], tmp_path: Path
    ) -> None:
        target = tmp_path / "copy"
        copy = ["--insecure-policy", "copy", "--preserve-digests"]
        run(program("skopeo"), *copy, f"oci-archive:{plain}", f"oci:{target}:1.0.0")
        index = json.loads((target / "index.json").read_bytes())
        stated = read_statement(unpack(plain.read_bytes()))["predicate"]["images"][0]["manifest"]
        assert [row["digest"] for row in index["manifests"]] == [stated]

    def test_gnu_tar_lists_it_without_a_word(self, plain: Path, program: Callable[[str], Path]) -> None:
        listed = run(program("tar"), "-tf", str(plain)).decode().split()
        assert listed == [name for name, _content in unpack(plain.read_bytes())]


def run(program: Path, *arguments: str) -> bytes:
    done = subprocess.run([program, *arguments], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout


@pytest.mark.parametrize("compression", [Compression.NONE, Compression.GZIP])
def test_docker_loads_it(fresh_device: PrivateDockerd, tmp_path: Path, compression: Compression) -> None:
    release = make_age_release(tmp_path, compression=compression)
    path = tmp_path / "plain.tar"
    path.write_bytes(release.plain)
    fresh_device.docker("load", "--quiet", "--input", str(path))
    assert parse_pins(fresh_device.image_ids()) == release.pins
