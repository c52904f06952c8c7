"""An archive in parts is the archive; and a part that is missing, short or damaged is named."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from bed.nginx import PrivateNginx
from binary_split.cli.split import split
from binary_split.errors import ArchiveFormatError, ArchiveUnreadableError
from binary_split.transports import open_source
from binary_split.transports.file import FileSource
from binary_split.transports.part_list import read_part_list
from binary_split.transports.parts import PartsSource
from tests.archives import FRAGMENT, flip_bit
from tests.commandline import CommandLine
from tests.docs.test_json import assert_is_as_documented
from tests.releases import KEY, AgeRelease, make_age_release

SIZE = 1_000_003
CONTENT = random.Random(3).randbytes(SIZE)


@pytest.fixture
def first(cli: CommandLine, tmp_path: Path) -> Path:
    """The first of four parts, beside the others."""
    (tmp_path / "bundle.age").write_bytes(CONTENT)
    (tmp_path / "usb").mkdir()
    ran = cli.run("split", tmp_path / "bundle.age", "--size", "256K", "-o", tmp_path / "usb", "--json")
    assert ran.status == 0, ran
    assert_is_as_documented(ran.document, "split")
    assert [part["size"] for part in ran.document["parts"]] == [262144, 262144, 262144, SIZE - 3 * 262144]
    return tmp_path / "usb" / "bundle.age.001"


def test_the_parts_put_together_are_the_archive(first: Path) -> None:
    parts = sorted(first.parent.glob("bundle.age.0*"))
    assert b"".join(part.read_bytes() for part in parts) == CONTENT
    assert len(list(first.parent.iterdir())) == len(parts) + 1


def test_what_was_split_is_read_as_one_file(first: Path) -> None:
    with open_source(first) as source:
        assert isinstance(source, PartsSource)
        assert source.readall() == CONTENT


def test_without_the_list_the_numbers_tell(first: Path) -> None:
    first.with_name("bundle.age.parts.json").unlink()
    with open_source(first) as source:
        assert source.read(10) == CONTENT[:10]
        assert source.seek(0, 2) == SIZE


def test_a_missing_part_is_named(first: Path) -> None:
    first.with_name("bundle.age.003").unlink()
    with pytest.raises(ArchiveUnreadableError, match=r"bundle\.age\.003"):
        open_source(first)


@pytest.mark.fault(25)
def test_a_short_part_is_named(first: Path) -> None:
    first.with_name("bundle.age.002").write_bytes(b"short")
    with pytest.raises(ArchiveUnreadableError, match=r"bundle\.age\.002 is 5 bytes long, not 262144"):
        open_source(first)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"format":"x","parts":[]}',
        b'{"format":"binary-split/parts/v1","parts":[]}',
        b'{"format":"binary-split/parts/v1","parts":[{"name":"bundle.age.001","size":1,"sha256":1}]}',
        b"[" * 100_000,
    ],
)
def test_a_list_that_is_none_is_refused(first: Path, content: bytes) -> None:
    first.with_name("bundle.age.parts.json").write_bytes(content)
    with pytest.raises(ArchiveFormatError):
        read_part_list(first)


def test_a_list_cannot_name_a_file_elsewhere(first: Path) -> None:
    path = first.with_name("bundle.age.parts.json")
    path.write_text(path.read_text().replace("bundle.age.002", "../secret"))
    with pytest.raises(ArchiveFormatError, match="not about the parts"):
        open_source(first)


def test_an_archive_that_becomes_shorter_leaves_no_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bundle.age").write_bytes(CONTENT)
    monkeypatch.setattr(FileSource, "seek", lambda _self, _offset, whence=0: SIZE + 1 if whence else 0)
    arguments = [str(tmp_path / "bundle.age"), "--size", "256K"]
    ended = CliRunner().invoke(split, arguments)
    assert isinstance(ended.exception, ArchiveUnreadableError)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.age"]


def test_an_empty_file_is_not_split(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty.age").touch()
    ran = cli.run("split", tmp_path / "empty.age")
    assert (ran.status, "empty.age is empty" in ran.stderr) == (12, True)
    assert not (tmp_path / "empty.age.parts.json").exists()


@pytest.mark.parametrize(
    ("size", "words"), [("0", "not a size"), ("-1", "not a size"), ("100", "more than 999 parts")]
)
def test_a_size_that_makes_no_sense_is_refused(
    cli: CommandLine, tmp_path: Path, size: str, words: str
) -> None:
    (tmp_path / "bundle.age").write_bytes(CONTENT)
    cli.run("split", tmp_path / "bundle.age", f"--size={size}").assert_failed(3, words)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("bundle")] == ["bundle.age"]


@pytest.fixture
def release(tmp_path: Path) -> AgeRelease:
    return make_age_release(tmp_path / "release", filler_bytes=400_000, filler_kind="random")


@pytest.mark.slow
def test_an_archive_in_parts_is_unlocked_and_its_damaged_part_named(
    cli: CommandLine, release: AgeRelease, tmp_path: Path
) -> None:
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    assert cli.run("split", release.path, "--size", "200K").status == 0
    first = release.path.with_name(f"{release.path.name}.001")
    secret = ("--fragment-file", cli.home / "fragment", "--trusted-key", cli.home / "publisher.pem")
    ran = cli.run("unlock", first, *secret, "--engine", f"oci:{tmp_path / 'images'}")
    assert ran.status == 0, ran
    assert cli.run("verify", first, *secret).status == 0

    second = first.with_name(f"{release.path.name}.002")
    second.write_bytes(flip_bit(second.read_bytes(), 100_000))
    ran = cli.run("unlock", first, *secret, "--engine", f"oci:{tmp_path / 'other'}")
    ran.assert_failed(12, f"the part {second.name} is damaged")
    cli.run("verify", first, *secret).assert_failed(12, f"the part {second.name} is damaged")


@pytest.mark.slow
def test_the_parts_on_a_web_server_are_the_archive_too(
    cli: CommandLine, release: AgeRelease, nginx: PrivateNginx, root: Path, ca_file: Path, tmp_path: Path
) -> None:
    (cli.home / "fragment").write_bytes(FRAGMENT)
    (cli.home / "publisher.pem").write_bytes(KEY.public_key.serialise())
    folder = root / "in parts"
    folder.mkdir()
    assert cli.run("split", release.path, "--size", "150K", "-o", folder).status == 0
    url = f"{nginx.tls_url}/in%20parts/{release.path.name}.001"
    secret = ("--fragment-file", cli.home / "fragment", "--trusted-key", cli.home / "publisher.pem")
    ran = cli.run("unlock", url, "--archive-ca", ca_file, *secret, "--engine", f"oci:{tmp_path / 'images'}")
    assert ran.status == 0, ran
    parts = sorted(folder.glob("*.age.0*"))
    asked = [nginx.requests(f"/in%20parts/{part.name}") for part in parts]
    assert asked == [2] * len(parts)  # it was found, and read

    def assert_refused(status: int, words: str) -> None:
        cli.run("verify", url, "--archive-ca", ca_file, *secret).assert_failed(status, words)

    parts[1].write_bytes(b"short")
    assert_refused(11, f"the part {parts[1].name} is 5 bytes long, not 153600")
    parts[1].unlink()
    assert_refused(11, f"{parts[1].name} answers 404")
    (folder / f"{release.path.name}.parts.json").write_text("[]")
    assert_refused(13, "is no list of an archive's parts")
