"""What goes into an archive is what the engine had, whole; and nothing else appears anywhere."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from bed.dockerd import PrivateDockerd
from bed.images import Compression, Style, build_release, write_oci_layout
from binary_split.engines import open_engine
from binary_split.errors import ArchiveFormatError, ImageIncompleteError, ImageMissingError
from binary_split.model import Fragment, ImageRef, Progress, Release
from binary_split.sealing import Export, SealedArchive, export_docker_archive, seal_cbc
from tests.archives import (
    FRAGMENT,
    decrypt,
    encrypt,
    flip_bit,
    parse_pins,
    read_layout,
    read_manifest,
    rewrite_tar,
)
from tests.commandline import CommandLine, Ran

pytestmark = pytest.mark.slow  # each test seals a release

NAMES = ("azaion/flights", "azaion/autopilot")
CANARY = b"Example software for tests."  # stands in a layer of every image of the bed


def seal(export: Export, refs: dict[str, str], sink: BinaryIO | None = None) -> SealedArchive:
    release = Release("1.0.0", tuple(parse_pins(refs)))
    return seal_cbc(release, export, Fragment(FRAGMENT), sink or io.BytesIO())


def ids_of(sealed: SealedArchive) -> dict[str, str]:
    return {str(image.ref): str(image.digest) for image in sealed.images}


def load(device: PrivateDockerd, tar: Path) -> dict[str, str]:
    device.docker("load", "--quiet", "--input", str(tar))
    return device.image_ids()


class TestFromAnEngine:
    def test_openssl_opens_it_and_docker_loads_what_comes_out(
        self,
        cli: CommandLine,
        vendor_engine: PrivateDockerd,
        fresh_device: PrivateDockerd,
        release_images: dict[str, str],
        program: Callable[[str], Path],
        tmp_path: Path,
    ) -> None:
        fragment, archive, tar = tmp_path / "fragment", tmp_path / "x.cbc", tmp_path / "x.tar"
        fragment.write_bytes(FRAGMENT)
        vendor = cli.with_environment(DOCKER_HOST=vendor_engine.host)
        arguments = ["--format", "cbc", "--version", "1.0.0", "--fragment-file", fragment]
        ran = vendor.run("seal", *arguments, "-o", archive)
        assert ran.status == 0, ran
        printed = [line.removeprefix("--image-id ") for line in ran.stdout.splitlines()]
        assert dict(line.split("=") for line in printed) == release_images
        _openssl(program("openssl"), archive, tar)
        assert load(fresh_device, tar) == release_images

    def test_an_absent_image_is_missing_and_nothing_is_written(
        self, cli: CommandLine, vendor_engine: PrivateDockerd, release_images: dict[str, str], tmp_path: Path
    ) -> None:
        folder = tmp_path / "out"
        folder.mkdir()
        (tmp_path / "fragment").write_bytes(FRAGMENT)
        vendor = cli.with_environment(DOCKER_HOST=vendor_engine.host)
        images = ["--image", "azaion/flights", "--image", "azaion/absent"]
        arguments = ["--format", "cbc", "--version", "1.0.0", *images]
        ran = vendor.run("seal", *arguments, "--fragment-file", tmp_path / "fragment", "-o", folder / "x.cbc")
        ran.assert_failed(52, "azaion/absent:1.0.0")
        assert list(folder.iterdir()) == []

    def test_a_few_of_the_engines_images_are_sealed_alone(
        self, vendor_engine: PrivateDockerd, release_images: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", vendor_engine.host)
        wanted = {ref: found for ref, found in release_images.items() if "flights" in ref}
        assert ids_of(seal(open_engine("docker").save, wanted)) == wanted


def _openssl(program: Path, archive: Path, tar: Path) -> None:
    """Open an archive as its format page says that anyone can: by openssl, with the key and the IV."""
    with archive.open("rb") as file, tar.open("wb") as out:
        iv = file.read(16).hex()
        key = hashlib.sha256(FRAGMENT).hexdigest()
        command = [str(program), "enc", "-d", "-aes-256-cbc", "-K", key, "-iv", iv]
        subprocess.run(command, input=file.read(), stdout=out, check=True)


class TestFromADockerArchive:
    @pytest.mark.parametrize("style", ["oci", "classic"])
    def test_the_plaintext_is_the_file_byte_for_byte(self, tmp_path: Path, style: Style) -> None:
        tar = tmp_path / "save.tar"
        refs = build_release(tar, "1.0.0", names=NAMES, filler_bytes=50_000, style=style)
        export, size = export_docker_archive(tar)
        sink = io.BytesIO()
        sealed = seal(export, refs, sink)
        assert ids_of(sealed) == refs
        assert sealed.plain_size == size == tar.stat().st_size
        assert sink.getvalue() == encrypt(tar.read_bytes(), iv=sink.getvalue()[:16])

    def test_two_archives_of_the_same_share_nothing(self, tmp_path: Path) -> None:
        tar = tmp_path / "save.tar"
        refs = build_release(tar, "1.0.0", names=NAMES)
        sinks = io.BytesIO(), io.BytesIO()
        for sink in sinks:
            seal(export_docker_archive(tar)[0], refs, sink)
        first, second = (blocks(sink.getvalue()) for sink in sinks)
        assert not first & second

    def test_progress_ends_with_all(self, tmp_path: Path) -> None:
        tar = tmp_path / "save.tar"
        refs = build_release(tar, "1.0.0", names=NAMES, filler_bytes=2_000_000)
        export, size = export_docker_archive(tar)
        seen: list[Progress] = []
        release = Release("1.0.0", tuple(parse_pins(refs)))
        seal_cbc(release, export, Fragment(FRAGMENT), io.BytesIO(), report=seen.append, total=size)
        assert [step.done for step in seen] == sorted(step.done for step in seen)
        assert seen[-1] == Progress("sealing", size, size)

    def test_another_version_lacks_the_images(self, tmp_path: Path) -> None:
        tar = tmp_path / "save.tar"
        build_release(tar, "1.1.0", names=NAMES)
        with pytest.raises(ImageIncompleteError, match=r"azaion/flights:1\.0\.0"):
            seal(export_docker_archive(tar)[0], {"azaion/flights:1.0.0": f"sha256:{'0' * 64}"})


def blocks(content: bytes) -> set[bytes]:
    return {content[start : start + 16] for start in range(0, len(content), 16)}


def largest_blob(layout: Path) -> Path:
    return max((layout / "blobs" / "sha256").iterdir(), key=lambda blob: blob.stat().st_size)


class TestFromAnOciFolder:
    @pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
    def test_the_ids_are_those_of_the_folder(self, tmp_path: Path, compression: Compression) -> None:
        refs = write_oci_layout(
            tmp_path / "layout", "1.0.0", names=NAMES, filler_bytes=50_000, compression=compression
        )
        sink = io.BytesIO()
        assert ids_of(seal(open_engine(f"oci:{tmp_path / 'layout'}").save, refs, sink)) == refs
        plain = decrypt(sink.getvalue())
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            names = tar.getnames()
        assert {"oci-layout", "index.json", "manifest.json"} < set(names)
        assert len(names) == len(set(names))

    @pytest.mark.parametrize("compression", ["gzip", "none"])
    def test_docker_loads_what_was_sealed(
        self, fresh_device: PrivateDockerd, tmp_path: Path, compression: Compression
    ) -> None:
        refs = write_oci_layout(
            tmp_path / "layout", "1.0.0", names=NAMES, filler_bytes=50_000, compression=compression
        )
        sink = io.BytesIO()
        seal(open_engine(f"oci:{tmp_path / 'layout'}").save, refs, sink)
        plain = decrypt(sink.getvalue())
        (tmp_path / "x.tar").write_bytes(plain[: -plain[-1]])
        assert load(fresh_device, tmp_path / "x.tar") == refs

    def test_an_absent_image_is_missing(self, tmp_path: Path) -> None:
        write_oci_layout(tmp_path / "layout", "1.0.0", names=NAMES)
        with pytest.raises(ImageMissingError, match="absent"):
            seal(open_engine(f"oci:{tmp_path / 'layout'}").save, {"absent:1": f"sha256:{'0' * 64}"})

    def test_the_only_image_is_not_taken_for_another(self, tmp_path: Path) -> None:
        write_oci_layout(tmp_path / "layout", "1.0.0", names=NAMES[:1])
        engine = open_engine(f"oci:{tmp_path / 'layout'}")
        other = ImageRef.parse("azaion/other:1.0.0")
        assert engine.find_image(other) is None
        with pytest.raises(ImageMissingError, match="other"):
            seal(engine.save, {str(other): f"sha256:{'0' * 64}"})

    def test_a_damaged_layer_is_incomplete(self, tmp_path: Path) -> None:
        refs = write_oci_layout(tmp_path / "layout", "1.0.0", names=NAMES, filler_bytes=50_000)
        largest = max(
            (tmp_path / "layout" / "blobs" / "sha256").iterdir(), key=lambda blob: blob.stat().st_size
        )
        largest.write_bytes(flip_bit(largest.read_bytes(), 1000))
        with pytest.raises(ImageIncompleteError):
            seal(open_engine(f"oci:{tmp_path / 'layout'}").save, refs)

    def test_a_missing_layer_is_incomplete(self, tmp_path: Path) -> None:
        refs = write_oci_layout(tmp_path / "layout", "1.0.0", names=NAMES, filler_bytes=50_000)
        largest = max(
            (tmp_path / "layout" / "blobs" / "sha256").iterdir(), key=lambda blob: blob.stat().st_size
        )
        largest.unlink()
        with pytest.raises(ImageIncompleteError):
            seal(open_engine(f"oci:{tmp_path / 'layout'}").save, refs)


def without_shared_layer(tar: Path, out: Path) -> Path:
    shared = read_manifest(tar)[0]["Layers"][1]
    return rewrite_tar(tar, out, lambda name, content: None if name == shared else content)


def with_damaged_layer(tar: Path, out: Path) -> Path:
    shared = read_manifest(tar)[0]["Layers"][1]
    return rewrite_tar(tar, out, lambda name, content: flip_bit(content, 700) if name == shared else content)


def without_manifest(tar: Path, out: Path) -> Path:
    return rewrite_tar(tar, out, lambda name, content: None if name == "manifest.json" else content)


def cut_off(tar: Path, out: Path) -> Path:
    layer = read_layout(tar)[read_manifest(tar)[0]["Layers"][1]]
    out.write_bytes(tar.read_bytes()[: layer.offset_data + layer.size // 2])
    return out


def with_damaged_config(tar: Path, out: Path) -> Path:
    config = read_manifest(tar)[0]["Config"]
    return rewrite_tar(
        tar, out, lambda name, content: content.replace(b'"1000', b'"0000') if name == config else content
    )


FAULTS = [without_shared_layer, with_damaged_layer, without_manifest, cut_off, with_damaged_config]


class TestIncompleteExports:
    @pytest.mark.fault(20)
    @pytest.mark.parametrize("fault", FAULTS)
    def test_are_refused_and_an_older_archive_stays(
        self, cli: CommandLine, tmp_path: Path, fault: Callable[[Path, Path], Path]
    ) -> None:
        build_release(tmp_path / "good.tar", "1.0.0", names=NAMES, filler_bytes=50_000)
        bad = fault(tmp_path / "good.tar", tmp_path / "bad.tar")
        folder = tmp_path / "out"
        folder.mkdir()
        for older in (False, True):
            if older:
                (folder / "x.cbc").write_bytes(b"older")
            seal_by_cli(cli, tmp_path, bad).assert_failed(ImageIncompleteError.exit_code)
            assert [path.read_bytes() for path in folder.iterdir()] == [b"older"] * older
        assert seal_by_cli(cli, tmp_path, tmp_path / "good.tar").status == 0
        assert (folder / "x.cbc").stat().st_size > 50_000

    @pytest.mark.fault(23)
    @pytest.mark.parametrize("style", ["oci", "classic"])
    def test_an_extra_image_is_refused(self, cli: CommandLine, tmp_path: Path, style: Style) -> None:
        build_release(tmp_path / "more.tar", "1.0.0", names=(*NAMES, "alpine"), style=style)
        (tmp_path / "out").mkdir()
        ran = seal_by_cli(cli, tmp_path, tmp_path / "more.tar")
        ran.assert_failed(ImageIncompleteError.exit_code, "alpine:1.0.0")
        assert list((tmp_path / "out").iterdir()) == []

    def test_no_image_archive_at_all_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x.tar").write_bytes(bytes(10240))
        with pytest.raises((ImageIncompleteError, ArchiveFormatError)):
            seal(export_docker_archive(tmp_path / "x.tar")[0], dict.fromkeys(["a:1"], f"sha256:{'0' * 64}"))


def seal_by_cli(cli: CommandLine, folder: Path, tar: Path) -> Ran:
    (folder / "fragment").write_bytes(FRAGMENT)
    images = [part for name in NAMES for part in ("--image", name)]
    arguments = ["--format", "cbc", "--version", "1.0.0", *images, "--from", f"docker-archive:{tar}"]
    return cli.run("seal", *arguments, "--fragment-file", folder / "fragment", "-o", folder / "out" / "x.cbc")


class TestPlaintext:
    def test_touches_no_disk_while_sealing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The output and the temporary folder are searched for a layer's text at every chunk."""
        folder, temporary = tmp_path / "out", tmp_path / "tmp"
        folder.mkdir()
        temporary.mkdir()
        monkeypatch.setenv("TMPDIR", str(temporary))
        refs = build_release(tmp_path / "plain.tar", "1.0.0", names=NAMES, filler_bytes=3_000_000)
        tar = (tmp_path / "plain.tar").read_bytes()
        assert CANARY in tar
        looks: list[bool] = []

        def watched(_refs: tuple[ImageRef, ...]) -> Iterator[bytes]:
            for start in range(0, len(tar), 1 << 18):
                yield tar[start : start + (1 << 18)]
                looks.append(is_clean(folder, temporary))

        with (folder / "x.cbc").open("wb", buffering=0) as sink:
            seal(watched, refs, sink)
        assert len(looks) > 10
        assert all(looks)
        assert is_clean(folder, temporary)

    def test_is_in_no_file_after_a_seal_by_the_program(self, cli: CommandLine, tmp_path: Path) -> None:
        build_release(tmp_path / "good.tar", "1.0.0", names=NAMES, filler_bytes=2_000_000)
        (tmp_path / "out").mkdir()
        assert seal_by_cli(cli, tmp_path, tmp_path / "good.tar").status == 0
        assert list(cli.temporary.iterdir()) == []
        sealed = (tmp_path / "out" / "x.cbc").read_bytes()
        assert CANARY in (tmp_path / "good.tar").read_bytes()
        assert CANARY not in sealed
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.cbc"]


def is_clean(*folders: Path) -> bool:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return not any(CANARY in path.read_bytes() for path in files) and not list(folders[1].iterdir())
