"""The strict tar reader: it reads what others write, and nothing that an image archive never holds."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binary_split.config import GIB, LIMITS
from binary_split.errors import ArchiveFormatError
from binary_split.oci.chunks import ChunkReader
from binary_split.oci.tar import END, RECORD, Kind, TarReader, padded, serialise_header

Format = Literal[0, 1, 2]
FORMATS: dict[str, Format] = {
    "ustar": tarfile.USTAR_FORMAT,
    "pax": tarfile.PAX_FORMAT,
    "gnu": tarfile.GNU_FORMAT,
}
every_format = pytest.mark.parametrize("tar_format", FORMATS.values(), ids=FORMATS.keys())

DEEP = "/".join(["a-folder-with-a-name"] * 11)  # over 200 bytes: ustar splits it in two
FILES = {
    "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
    "empty": b"",
    "blobs/sha256/" + "0" * 64: b"x" * 511,
    "blobs/sha256/" + "1" * 64: b"y" * 512,
    "blobs/sha256/" + "2" * 64: b"z" * 100_000,
    "n" * 100: b"the longest plain name",
    f"{DEEP}/layer.tar": b"deep",
}
LONG_FILES = {
    "é" * 300: b"no ASCII",
    "long/" + "n" * 1000: b"long",
    f"{DEEP}{'x' * 101}/y": b"no ustar prefix",
}

Found = dict[str, tuple[Kind, bytes]]


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = ""
) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.type, found.linkname = len(content), kind, target
    return found


def write_tar(files: dict[str, bytes], tar_format: Format, extra: Iterable[tarfile.TarInfo] = ()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as tar:
        for name, content in files.items():
            tar.addfile(member(name, content), io.BytesIO(content))
        for each in extra:
            tar.addfile(each, io.BytesIO(bytes(each.size)))
    return out.getvalue()


def read_seekable(tar: bytes) -> Found:
    reader = TarReader(io.BytesIO(tar))
    return {each.name: (each.kind, b"".join(map(bytes, reader.chunks()))) for each in reader}


def read_forward(tar: bytes) -> Found:
    reader = TarReader(ChunkReader(tar[at : at + 700] for at in range(0, len(tar), 700)))
    found = {each.name: (each.kind, b"".join(map(bytes, reader.chunks()))) for each in reader}
    reader.drain()
    return found


def walk(tar: bytes) -> Found:
    """Take the headers only, then the contents by their offsets."""
    return {
        each.name: (each.kind, tar[each.offset : each.offset + each.size])
        for each in TarReader(io.BytesIO(tar))
    }


READERS = {"seekable": read_seekable, "forward": read_forward, "headers": walk}


def agreed(tar: bytes) -> Found:
    """Read in every way; all must see the same."""
    first, *others = [read(tar) for read in READERS.values()]
    assert all(each == first for each in others)
    return first


def refused(tar: bytes, words: str) -> None:
    for read in READERS.values():
        with pytest.raises(ArchiveFormatError, match=words):
            read(tar)


def header(name: bytes = b"x", size: bytes = b"00000000000\0", kind: bytes = b"0") -> bytes:
    """Return a header whose checksum is right, whatever its fields say."""
    block = bytearray(serialise_header("x", 0))
    block[:100] = name.ljust(100, b"\0")
    block[124:136] = size
    block[156:157] = kind
    return checksummed(block)


def checksummed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    return (
        header(b"pax", b"%011o\0" % len(records), kind)
        + records.ljust(padded(len(records)), b"\0")
        + header()
        + END
    )


def record(key: bytes, value: bytes) -> bytes:
    """Return a record of an extended header; its length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = next(total for total in range(len(rest), len(rest) + 9) if len(str(total)) + len(rest) == total)
    return b"%d" % length + rest


# What others write is read


@every_format
def test_names_kinds_and_contents_are_what_was_written(tar_format: Format) -> None:
    found = agreed(write_tar(FILES, tar_format))
    assert found == {name: (Kind.FILE, content) for name, content in FILES.items()}


@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_names_longer_than_a_header_are_read(tar_format: Format) -> None:
    found = agreed(write_tar(LONG_FILES, tar_format))
    assert found == {name: (Kind.FILE, content) for name, content in LONG_FILES.items()}


@every_format
def test_links_and_folders_are_told_with_their_targets(tar_format: Format) -> None:
    target = "../" + "a" * 80 + "/layer.tar"
    tar = write_tar(
        {"file": b"x"},
        tar_format,
        [
            member("folder/", kind=tarfile.DIRTYPE),
            member("folder/symbolic", kind=tarfile.SYMTYPE, target=target),
            member("hard", kind=tarfile.LNKTYPE, target="file"),
            member("folder", kind=tarfile.DIRTYPE),
        ],
    )
    kinds = {each.name: (each.kind, each.target) for each in TarReader(io.BytesIO(tar))}
    assert kinds == {
        "file": (Kind.FILE, ""),
        "folder": (Kind.FOLDER, ""),
        "folder/symbolic": (Kind.SYMBOLIC_LINK, target),
        "hard": (Kind.HARD_LINK, "file"),
    }


@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_a_link_target_longer_than_a_header_is_read(tar_format: Format) -> None:
    target = "t" * 300
    tar = write_tar({}, tar_format, [member("link", kind=tarfile.SYMTYPE, target=target)])
    assert [each.target for each in TarReader(io.BytesIO(tar))] == [target]


def test_names_are_normalised_as_tar_programs_vary_them() -> None:
    tar = write_tar({"./a": b"1", "./b/c": b"2"}, tarfile.GNU_FORMAT, [member("./", kind=tarfile.DIRTYPE)])
    assert agreed(tar).keys() == {"a", "b/c", ""}


@pytest.mark.parametrize("size", [8 * GIB, 8 * GIB + 1, 60 * GIB])
@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "base-256"])
def test_a_member_of_over_8_gib_is_walked_over(tmp_path: Path, size: int, tar_format: Format) -> None:
    path = tmp_path / "huge.tar"
    huge = tarfile.TarInfo("huge")
    huge.size = size
    with path.open("wb") as file:
        file.write(head := huge.tobuf(tar_format))
        file.truncate(len(head) + padded(size))
        file.seek(0, 2)
        file.write(write_tar({"after": b"x"}, tar_format))
    with path.open("rb", buffering=0) as file:
        assert [(each.name, each.size) for each in TarReader(file)] == [("huge", size), ("after", 1)]


def test_what_follows_the_end_is_drained_and_not_read() -> None:
    assert agreed(write_tar({"a": b"1"}, tarfile.GNU_FORMAT) + b"garbage" * 1000).keys() == {"a"}


def test_an_empty_tar_has_no_members() -> None:
    assert agreed(END) == {}
    assert agreed(bytes(10_240)) == {}


# What no image archive holds is refused


NO_FILES = [b"3", b"4", b"6", b"7", tarfile.GNUTYPE_SPARSE, b"V", b"M", b"D", b"\x80"]


@pytest.mark.fault(18)
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_folder_or_link_is_refused(kind: bytes) -> None:
    refused(header(b"odd", kind=kind) + END, "'odd', which is no file, folder or link")


WAYS_OUT = ["..", "../x", "a/../b", "a/..", "./../x", "./..", "/etc/passwd", "/", "//x"]


@pytest.mark.fault(18)
@every_format
@pytest.mark.parametrize("name", WAYS_OUT)
def test_a_name_that_leads_out_is_refused(name: str, tar_format: Format) -> None:
    refused(write_tar({name: b"x"}, tar_format), "leads out of it")


@pytest.mark.parametrize("name", ["", ".", "a//b", "a/./b", "././a"])
def test_a_file_whose_name_is_not_canonical_is_refused(name: str) -> None:
    refused(header(name.encode()) + END, "name")


@pytest.mark.fault(18)
@every_format
def test_a_name_twice_is_refused(tar_format: Format) -> None:
    for second in ("a", "./a"):
        refused(write_tar({"a": b"1"}, tar_format, [member(second, b"2")]), "'a' twice")
    link = member("a", kind=tarfile.SYMTYPE, target="b")
    refused(write_tar({"a": b"1"}, tar_format, [link]), "'a' twice")
    folder = member("a", kind=tarfile.DIRTYPE)
    refused(write_tar({"a": b"1"}, tar_format, [folder]), "'a' twice")
    refused(header(b"a", kind=b"5") + header(b"a") + END, "'a' twice")


@pytest.mark.fault(19)
@pytest.mark.parametrize("key", [b"GNU.sparse.major", b"GNU.sparse.map", b"GNU.sparse.realsize"])
def test_a_sparse_file_is_refused(key: bytes) -> None:
    refused(pax(record(key, b"1")), "no image archive holds")


@pytest.mark.fault(19)
@pytest.mark.parametrize(
    "records",
    [
        b"9 path=x",
        b"9 path=xy",
        b"99 path=x\n",
        b"0 path=x\n",
        b"1 path=x\n",
        b"-9 path=x\n",
        b"+9 path=x\n",
        b" path=x\n",
        b"path=x\n",
        b"99999999999999999999 path=x\n",
        b"7 path\n",
        b"\xff\xff\n",
        b"\0" * 10,
        b"10 path=\xff\n",
    ],
)
def test_a_malformed_extended_header_is_refused(records: bytes) -> None:
    refused(pax(records), "malformed extended header|not UTF-8")


@pytest.mark.parametrize("size", [b"-1", b"1.5", b"0x10", b"", b" 1", b"9" * 20, b"9" * 5000])
def test_a_size_that_is_no_size_is_refused(size: bytes) -> None:
    refused(pax(record(b"size", size)), "no image archive holds")


@pytest.mark.fault(19)
@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_an_extended_header_is_bounded_before_it_is_read(kind: bytes) -> None:
    size = LIMITS.tar_pax_bytes + 1
    refused(header(size=b"%011o\0" % size, kind=kind), f"extended header of {size} bytes")
    refused(header(size=b"77777777777\0", kind=kind), "extended header of 8589934591 bytes")


@pytest.mark.parametrize("size", [b"\x80" + b"\xff" * 11, b"\x80" + (1 << 63).to_bytes(11)])
def test_a_size_beyond_any_layer_is_refused(size: bytes) -> None:
    refused(header(size=size) + END, "larger than any layer")


def test_a_pax_size_beyond_any_layer_is_refused() -> None:
    refused(pax(record(b"size", b"9" * 19)), "larger than any layer")


NO_NUMBERS = [
    b"\xff" * 12,
    b"\x81" + bytes(11),
    b"12x45670000\0",
    b"0 0 0 0 0 0\0",
    b"8" * 12,
    b"-0000000001\0",
]


@pytest.mark.parametrize("size", NO_NUMBERS)
def test_a_number_that_is_no_number_is_refused(size: bytes) -> None:
    refused(header(size=size) + END, "no tar, or its headers are damaged")


def test_a_wrong_checksum_is_refused() -> None:
    good = write_tar({"a": b"1"}, tarfile.GNU_FORMAT)
    for at in (0, 99, 124, 156, 257, 400, 511):
        tar = bytearray(good)
        tar[at] ^= 1
        refused(bytes(tar), "headers are damaged")
    refused(b"no tar at all, but long enough".ljust(RECORD, b"!"), "headers are damaged")


def test_a_tar_that_is_cut_off_anywhere_is_refused() -> None:
    tar = write_tar({"a": b"1" * 600, "b" * 150: b"2"}, tarfile.GNU_FORMAT)
    end = tar.rindex(b"2") + 511
    for size in [*range(0, end, 100), end - end % RECORD, end - end % RECORD + 1]:
        refused(tar[:size], "cut off")


def test_a_name_that_is_no_text_or_too_long_is_refused() -> None:
    refused(header(b"\xff\xfe") + END, "not UTF-8")
    long = LIMITS.tar_name_bytes + 1
    refused(write_tar({"n" * long: b""}, tarfile.GNU_FORMAT), "too long")
    assert agreed(write_tar({"n" * (long - 1): b""}, tarfile.GNU_FORMAT))


def test_members_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("binary_split.oci.tar.LIMITS", replace(LIMITS, tar_members=3))
    assert len(agreed(write_tar({str(n): b"" for n in range(3)}, tarfile.GNU_FORMAT))) == 3
    refused(write_tar({str(n): b"" for n in range(4)}, tarfile.GNU_FORMAT), "more than 3 members")


@settings(max_examples=200)
@given(st.binary(max_size=2000))
def test_any_bytes_raise_only_a_format_error(content: bytes) -> None:
    for read in READERS.values():
        try:
            read(content)
        except ArchiveFormatError:
            continue


GOOD = [write_tar(FILES | LONG_FILES, FORMATS["gnu"]), write_tar(FILES | LONG_FILES, FORMATS["pax"])]


@settings(max_examples=100)
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, RECORD - 1), st.integers(0, 255)), max_size=6),
    st.booleans(),
)
def test_a_mutated_tar_raises_only_a_format_error(
    good: bytes, changes: list[tuple[int, int, int]], mends: bool
) -> None:
    tar = bytearray(good)
    for record, at, byte in changes:
        start = record * RECORD
        tar[start + at] = byte
        if mends:  # else the checksum hides what the fields would have done
            tar[start : start + RECORD] = checksummed(tar[start : start + RECORD])
    for read in READERS.values():
        try:
            read(bytes(tar))
        except ArchiveFormatError:
            continue


# What we write


@pytest.mark.parametrize("name", ["oci-layout", "blobs/sha256/" + "a" * 64, "n" * 100])
@pytest.mark.parametrize("size", [0, 1, 512, 8**11 - 1, 8**11, 100 * GIB])
def test_our_headers_mean_the_same_to_others_and_to_us(name: str, size: int) -> None:
    block = serialise_header(name, size)
    assert len(block) == RECORD
    theirs = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    assert (theirs.name, theirs.size, theirs.type) == (name, size, tarfile.REGTYPE)
    assert (theirs.mode, theirs.uid, theirs.gid, theirs.mtime, theirs.uname) == (0o644, 0, 0, 0, "")
    ours = next(iter(TarReader(io.BytesIO(block))))
    assert (ours.name, ours.size, ours.offset) == (name, size, RECORD)
    assert serialise_header(name, size) == block


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 512), (511, 512), (512, 512), (513, 1024)])
def test_contents_are_padded_to_whole_records(size: int, expected: int) -> None:
    assert padded(size) == expected
