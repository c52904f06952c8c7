"""Sealing to ``age``: from every source, compressed where that helps, and nothing shown or left."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bed.dockerd import PrivateDockerd
from bed.images import Compression as FolderCompression
from bed.images import Style, build_release, write_oci_layout
from bed.layers import Filler
from bed.release import to_json
from bed.unavailable import Unavailable
from binary_split.engines import open_engine
from binary_split.errors import (
    BinarySplitError,
    EngineLoadError,
    ImageIncompleteError,
    ImageMissingError,
    OutputError,
)
from binary_split.model import ImageRef, Progress
from binary_split.oci.compression import Compression
from binary_split.sealing import Export, SealedArchive, export_docker_archive, seal_age
from binary_split.sealing.spool import Spool
from tests.archives import FRAGMENT
from tests.commandline import CommandLine, Ran
from tests.releases import (
    KEY_ID,
    NAMES,
    blob_name,
    layer_names,
    make_age_release,
    make_order,
    open_archive,
    read_statement,
    unpack,
)
from tests.test_sealing import FAULTS

pytestmark = pytest.mark.slow  # each test seals a release

CANARY = b"Example software for tests."  # stands in a layer of every image of the bed
Fault = Callable[[Path, Path], Path]


def seal(
    export: Export,
    refs: Iterable[str],
    folder: Path,
    *,
    compression: Compression = Compression.ZSTD,
    report: Callable[[Progress], None] = lambda _progress: None,
) -> tuple[SealedArchive, bytes]:
    """Seal and return what the archive holds, and its plaintext."""
    sink = io.BytesIO()
    order = make_order(map(ImageRef.parse, refs), compression=compression)
    sealed = seal_age(order, export, sink, spool_folder=folder, report=report)
    return sealed, open_archive(sink.getvalue())


def ids_of(sealed: SealedArchive) -> dict[str, str]:
    return {str(image.ref): str(image.digest) for image in sealed.images}


def stated_ids(plain: bytes) -> dict[str, str]:
    rows = read_statement(unpack(plain))["predicate"]["images"]
    return {row["reference"]: row["config"] for row in rows}


def stated_layers(plain: bytes) -> list[dict[str, Any]]:
    return [row for row in read_statement(unpack(plain))["predicate"]["blobs"] if "diff_id" in row]


class TestSources:
    @pytest.mark.parametrize("style", ["oci", "classic"])
    def test_a_docker_archive(self, tmp_path: Path, style: Style) -> None:
        tar = tmp_path / "save.tar"
        refs = build_release(tar, "1.0.0", names=NAMES, filler_bytes=50_000, style=style)
        sealed, plain = seal(export_docker_archive(tar)[0], refs, tmp_path)
        assert ids_of(sealed) == stated_ids(plain) == refs
        assert sealed.plain_size == len(plain)

    @pytest.mark.parametrize("stored", ["gzip", "zstd", "none"])
    @pytest.mark.parametrize("compression", list(Compression))
    def test_an_oci_folder_whatever_its_layers_are_stored_as(
        self, tmp_path: Path, stored: FolderCompression, compression: Compression
    ) -> None:
        folder = tmp_path / "layout"
        refs = write_oci_layout(
            folder, "1.0.0", names=NAMES, filler_bytes=50_000, filler_kind="zeros", compression=stored
        )
        tar = tmp_path / "save.tar"
        build_release(tar, "1.0.0", names=NAMES, filler_bytes=50_000, filler_kind="zeros")
        sealed, plain = seal(open_engine(f"oci:{folder}").save, refs, tmp_path, compression=compression)
        assert ids_of(sealed) == refs
        assert plain == seal(export_docker_archive(tar)[0], refs, tmp_path, compression=compression)[1]

    def test_the_real_engine(
        self,
        vendor_engine: PrivateDockerd,
        release_images: dict[str, str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", vendor_engine.host)
        sealed, plain = seal(open_engine("docker").save, release_images, tmp_path)
        assert ids_of(sealed) == stated_ids(plain) == release_images

    def test_the_images_stand_in_the_order_they_were_asked_for(self, tmp_path: Path) -> None:
        tar = tmp_path / "save.tar"
        refs = build_release(tar, "1.0.0", names=NAMES)
        for asked in (list(refs), list(refs)[::-1]):
            assert list(stated_ids(seal(export_docker_archive(tar)[0], asked, tmp_path)[1])) == asked


class TestCompression:
    @pytest.mark.parametrize("compression", list(Compression))
    def test_what_does_not_shrink_stays_raw(self, tmp_path: Path, compression: Compression) -> None:
        plain = make_age_release(
            tmp_path, filler_bytes=4_000_000, filler_kind="random", compression=compression
        ).plain
        large = [row for row in stated_layers(plain) if row["plain_size"] > 500_000]
        assert len(large) == 3
        assert all(row["digest"] == row["diff_id"] and row["size"] == row["plain_size"] for row in large)

    @pytest.mark.parametrize("compression", [Compression.ZSTD, Compression.GZIP])
    def test_what_shrinks_is_compressed_and_stated_so(self, tmp_path: Path, compression: Compression) -> None:
        plain = make_age_release(tmp_path, filler_bytes=4_000_000, compression=compression).plain
        parts = dict(unpack(plain))
        magic = {Compression.ZSTD: b"\x28\xb5\x2f\xfd", Compression.GZIP: b"\x1f\x8b"}[compression]
        for row in stated_layers(plain):
            assert row["digest"] != row["diff_id"]
            assert row["size"] <= 0.95 * row["plain_size"]
            assert parts[f"blobs/sha256/{row['digest'].removeprefix('sha256:')}"].startswith(magic)
        assert media_types(parts) == {compression.value}
        assert len(plain) < 100_000

    def test_none_compresses_nothing(self, tmp_path: Path) -> None:
        plain = make_age_release(tmp_path, filler_bytes=400_000, compression=Compression.NONE).plain
        assert all(row["digest"] == row["diff_id"] for row in stated_layers(plain))
        assert media_types(dict(unpack(plain))) == {Compression.NONE.value}
        assert len(plain) > 400_000

    @pytest.mark.parametrize("kind", ["random", "zeros"])
    def test_a_layer_is_compressed_from_five_percent_on(self, tmp_path: Path, kind: Filler) -> None:
        """Each compressed layer saves that much, and each raw one would not have."""
        release = make_age_release(tmp_path / "a", filler_kind=kind, filler_bytes=300_000)
        plain = make_age_release(
            tmp_path / "b", filler_kind=kind, filler_bytes=300_000, compression=Compression.NONE
        ).plain
        raw = {name: content for name, content in unpack(plain) if name in layer_names(unpack(plain))}
        for row in stated_layers(release.plain):
            content = raw[f"blobs/sha256/{row['diff_id'].removeprefix('sha256:')}"]
            assert row["plain_size"] == len(content)
            is_compressed = row["digest"] != row["diff_id"]
            assert is_compressed == (len(zstd(content)) <= 0.95 * len(content))


def zstd(content: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd as library
    else:
        from backports import zstd as library
    return library.compress(content, 3)


def media_types(parts: dict[str, bytes]) -> set[str]:
    rows = json.loads(parts["index.json"])["manifests"]
    manifests = [json.loads(parts["blobs/sha256/" + row["digest"].removeprefix("sha256:")]) for row in rows]
    return {layer["mediaType"] for manifest in manifests for layer in manifest["layers"]}


class TestPlaintext:
    def test_is_in_no_file_while_sealing_not_even_in_the_spool(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """At every step all that is open or lies in the folders is searched for a layer's text."""
        folder, temporary = tmp_path / "out", tmp_path / "tmp"
        folder.mkdir()
        temporary.mkdir()
        monkeypatch.setenv("TMPDIR", str(temporary))
        refs = build_release(tmp_path / "plain.tar", "1.0.0", names=NAMES, filler_bytes=3_000_000)
        tar = (tmp_path / "plain.tar").read_bytes()
        assert CANARY in tar
        spooled: list[int] = []

        def look(_progress: Progress) -> None:
            files = unnamed_files(folder) + [path.read_bytes() for path in folder.iterdir()]
            assert not any(CANARY in content for content in files)
            assert list(temporary.iterdir()) == []
            spooled.append(max(map(len, files)))

        def export(_refs: tuple[ImageRef, ...]) -> Iterator[bytes]:
            yield from (tar[start : start + (1 << 18)] for start in range(0, len(tar), 1 << 18))

        _sealed, plain = seal(export, refs, folder, compression=Compression.NONE, report=look)
        assert CANARY in plain
        assert len(spooled) > 20
        assert max(spooled) > 2_900_000  # the spool was among what was searched
        assert unnamed_files(folder) == []
        assert list(folder.iterdir()) == []

    def test_is_in_no_file_after_a_seal_by_the_program(self, cli: CommandLine, tmp_path: Path) -> None:
        build_release(tmp_path / "good.tar", "1.0.0", names=NAMES, filler_bytes=2_000_000)
        assert seal_by_cli(cli, tmp_path, tmp_path / "good.tar", "--compress", "none").status == 0
        assert list(cli.temporary.iterdir()) == []
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.age"]
        sealed = (tmp_path / "out" / "x.age").read_bytes()
        assert CANARY in open_archive(sealed)
        assert CANARY not in sealed

    def test_the_spool_gives_back_what_was_written_and_holds_nothing_of_it(self, tmp_path: Path) -> None:
        content = (CANARY * 10_000)[:200_001]
        with Spool(tmp_path) as spool:
            for start in range(0, len(content), 7_001):
                spool.write(content[start : start + 7_001])
            for start, size in ((0, 200_001), (65_530, 20), (200_000, 1), (3, 0)):
                assert b"".join(spool.read(start, size)) == content[start : start + size]
            (spooled,) = unnamed_files(tmp_path)
            assert len(spooled) > len(content)
            assert CANARY not in spooled
        assert list(tmp_path.iterdir()) == []


def unnamed_files(folder: Path) -> list[bytes]:
    """Read what this process has open below a folder under no name."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue  # the listing's own
        if target.startswith(f"{folder}/") and target.endswith(" (deleted)"):
            found.append(descriptor.read_bytes())
    return found


def seal_by_cli(cli: CommandLine, folder: Path, tar: Path, *more: object) -> Ran:
    (folder / "fragment").write_bytes(FRAGMENT)
    (folder / "out").mkdir(exist_ok=True)
    images = [part for name in NAMES for part in ("--image", name)]
    arguments = ["--version", "1.0.0", *images, "--from", f"docker-archive:{tar}", "--key-id", KEY_ID]
    opener = ["--fragment-file", folder / "fragment"]
    return cli.run("seal", *arguments, *opener, "-o", folder / "out" / "x.age", *more)


class TestIncompleteExports:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_leave_no_output_and_an_older_one_as_it_was(
        self, cli: CommandLine, tmp_path: Path, fault: Fault
    ) -> None:
        build_release(tmp_path / "good.tar", "1.0.0", names=NAMES, filler_bytes=50_000)
        bad = fault(tmp_path / "good.tar", tmp_path / "bad.tar")
        out = tmp_path / "out"
        for older in (False, True):
            if older:
                (out / "x.age").write_bytes(b"older")
            seal_by_cli(cli, tmp_path, bad).assert_failed(ImageIncompleteError.exit_code)
            assert [path.read_bytes() for path in out.iterdir()] == [b"older"] * older
        assert seal_by_cli(cli, tmp_path, tmp_path / "good.tar").status == 0
        assert (out / "x.age").stat().st_size > 10_000

    def test_write_not_one_byte_into_the_sink(self, tmp_path: Path) -> None:
        refs = build_release(tmp_path / "good.tar", "1.0.0", names=NAMES, filler_bytes=50_000)
        for fault in FAULTS:
            bad = fault(tmp_path / "good.tar", tmp_path / "bad.tar")
            sink = io.BytesIO()
            order = make_order(map(ImageRef.parse, refs))
            with pytest.raises(ImageIncompleteError):
                seal_age(order, export_docker_archive(bad)[0], sink, spool_folder=tmp_path)
            assert sink.getvalue() == b""

    def test_an_export_that_breaks_off_leaves_nothing(self, tmp_path: Path) -> None:
        refs = build_release(tmp_path / "good.tar", "1.0.0", names=NAMES, filler_bytes=50_000)
        tar = (tmp_path / "good.tar").read_bytes()
        folder = tmp_path / "spool"
        folder.mkdir()

        def export(_refs: tuple[ImageRef, ...]) -> Iterator[bytes]:
            yield tar[:30_000]
            raise EngineLoadError("the engine went away")

        with pytest.raises(EngineLoadError, match="went away"):
            seal(export, refs, folder)
        assert unnamed_files(folder) == []
        assert list(folder.iterdir()) == []

    def test_an_extra_image_is_refused(self, cli: CommandLine, tmp_path: Path) -> None:
        build_release(tmp_path / "more.tar", "1.0.0", names=(*NAMES, "alpine"))
        ran = seal_by_cli(cli, tmp_path, tmp_path / "more.tar")
        ran.assert_failed(ImageIncompleteError.exit_code, "alpine:1.0.0")
        assert list((tmp_path / "out").iterdir()) == []

    def test_an_absent_image_is_missing(self, tmp_path: Path) -> None:
        write_oci_layout(tmp_path / "layout", "1.0.0", names=NAMES)
        with pytest.raises(ImageMissingError, match="absent"):
            seal(open_engine(f"oci:{tmp_path / 'layout'}").save, ["absent:1"], tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path, could_not_run: Callable[[Unavailable], None]) -> Iterator[Path]:
    """A file system of 4 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        could_not_run(Unavailable("tmpfs", done.stderr.strip() or "cannot be mounted"))
    yield path
    subprocess.run(["umount", str(path)], check=True)


class TestFullDisk:
    def seal(self, cli: CommandLine, folder: Path, disk: Path, size: int) -> Ran:
        build_release(folder / "good.tar", "1.0.0", names=NAMES, filler_bytes=size)
        return seal_by_cli(cli, folder, folder / "good.tar", "-o", disk / "x.age")

    @pytest.mark.fault(44)
    @pytest.mark.parametrize(("size", "what"), [(8_000_000, "spool"), (3_000_000, "write")])
    def test_in_either_pass_is_an_output_error_and_leaves_nothing(
        self, cli: CommandLine, tmp_path: Path, small_disk: Path, size: int, what: str
    ) -> None:
        (small_disk / "x.age").write_bytes(b"older")
        ran = self.seal(cli, tmp_path, small_disk, size)
        ran.assert_failed(OutputError.exit_code, what, "No space left")
        assert [path.read_bytes() for path in small_disk.iterdir()] == [b"older"]
        assert os.statvfs(small_disk).f_bfree >= 1000  # of 1024 blocks: no file without a name holds any

    def test_what_fits_is_sealed(self, cli: CommandLine, tmp_path: Path, small_disk: Path) -> None:
        assert self.seal(cli, tmp_path, small_disk, 1_500_000).status == 0


def add_platform(layout: Path, ref: str, other: Path) -> None:
    """Make an image of a layout one for two platforms, as ``docker buildx`` stores it."""
    index = json.loads((layout / "index.json").read_bytes())
    entry = next(row for row in index["manifests"] if ref in json.dumps(row))
    foreign = json.loads((other / "index.json").read_bytes())["manifests"][0]
    for blob in (other / "blobs" / "sha256").iterdir():
        (layout / "blobs" / "sha256" / blob.name).write_bytes(blob.read_bytes())
    rows = [describe(entry, "amd64"), describe(foreign, "s390x"), describe(foreign, "unknown", "unknown")]
    content = to_json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": rows,
        }
    )
    (layout / blob_name(content)).write_bytes(content)
    entry["digest"] = f"sha256:{blob_name(content).rpartition('/')[2]}"
    entry["size"] = len(content)
    entry["mediaType"] = "application/vnd.oci.image.index.v1+json"
    (layout / "index.json").write_bytes(to_json(index))


def describe(row: dict[str, Any], architecture: str, system: str = "linux") -> dict[str, Any]:
    kept = {name: row[name] for name in ("mediaType", "digest", "size")}
    return {**kept, "platform": {"os": system, "architecture": architecture}}


class TestPlatforms:
    @pytest.fixture
    def layout(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[Path, dict[str, dict[str, str]]]:
        """A folder with one image for two platforms, and the image's ids by platform."""
        ids = {}
        for machine, platform in (("x86_64", "linux/amd64"), ("s390x", "linux/s390x")):
            monkeypatch.setattr("bed.release.platform.machine", lambda machine=machine: machine)
            ids[platform] = write_oci_layout(tmp_path / machine, "1.0.0", names=NAMES[:1])
        ref = f"{NAMES[0]}:1.0.0"
        add_platform(tmp_path / "x86_64", ref, tmp_path / "s390x")
        return tmp_path / "x86_64", ids

    @pytest.mark.fault(22)
    @pytest.mark.parametrize("platform", ["linux/amd64", "linux/s390x"])
    def test_the_one_that_was_asked_for_is_sealed(
        self,
        cli: CommandLine,
        tmp_path: Path,
        layout: tuple[Path, dict[str, dict[str, str]]],
        platform: str,
    ) -> None:
        folder, ids = layout
        ran = self.seal(cli, tmp_path, folder, "--platform", platform, "--json")
        assert ran.status == 0, ran
        assert {row["ref"]: row["id"] for row in ran.document["images"]} == ids[platform]
        assert [row["platform"] for row in ran.document["images"]] == [platform]
        stated = read_statement(unpack(open_archive((tmp_path / "x.age").read_bytes())))
        assert [row["platform"] for row in stated["predicate"]["images"]] == [platform]

    @pytest.mark.fault(22)
    @pytest.mark.parametrize("option", [[], ["--platform", "linux/riscv64"]], ids=["none", "other"])
    def test_none_or_another_is_refused(
        self,
        cli: CommandLine,
        tmp_path: Path,
        layout: tuple[Path, dict[str, dict[str, str]]],
        option: list[str],
    ) -> None:
        ran = self.seal(cli, tmp_path, layout[0], *option)
        ran.assert_failed(ImageIncompleteError.exit_code, "platforms", "--platform")
        assert not (tmp_path / "x.age").exists()

    @pytest.mark.fault(22)
    def test_another_than_the_saved_one_is_refused(self, cli: CommandLine, tmp_path: Path) -> None:
        build_release(tmp_path / "good.tar", "1.0.0", names=NAMES)
        ran = seal_by_cli(cli, tmp_path, tmp_path / "good.tar", "--platform", "linux/s390x")
        ran.assert_failed(ImageIncompleteError.exit_code, "linux/s390x")
        assert list((tmp_path / "out").iterdir()) == []

    def seal(self, cli: CommandLine, folder: Path, layout: Path, *more: object) -> Ran:
        (folder / "fragment").write_bytes(FRAGMENT)
        opener = ["--key-id", KEY_ID, "--fragment-file", folder / "fragment"]
        release = ["--version", "1.0.0", "--image", NAMES[0], "--from", f"oci:{layout}"]
        return cli.run("seal", *release, *opener, "-o", folder / "x.age", *more)


class TestProgress:
    def test_both_passes_report_and_the_second_ends_with_all(self, tmp_path: Path) -> None:
        refs = build_release(tmp_path / "good.tar", "1.0.0", names=NAMES, filler_bytes=3_000_000)
        export, size = export_docker_archive(tmp_path / "good.tar")
        seen: list[Progress] = []
        order = make_order(map(ImageRef.parse, refs))
        sealed = seal_age(order, export, io.BytesIO(), spool_folder=tmp_path, report=seen.append, total=size)
        assert list(dict.fromkeys(step.step for step in seen)) == ["collecting", "sealing"]
        collected = [step.done for step in seen if step.step == "collecting"]
        assert collected == sorted(collected)
        assert collected[-1] == size
        assert seen[-1] == Progress("sealing", sealed.plain_size, sealed.plain_size)


def test_a_signer_that_fails_leaves_an_empty_sink(tmp_path: Path) -> None:
    refs = build_release(tmp_path / "good.tar", "1.0.0", names=NAMES)

    def refuse(_statement: bytes) -> bytes:
        raise BinarySplitError("the key is not here")

    sink = io.BytesIO()
    order = replace(make_order(map(ImageRef.parse, refs)), sign=refuse)
    with pytest.raises(BinarySplitError, match="not here"):
        seal_age(order, export_docker_archive(tmp_path / "good.tar")[0], sink, spool_folder=tmp_path)
    assert sink.getvalue() == b""
