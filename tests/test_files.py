"""Results appear whole or not at all, and secrets are written and read with care."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from binary_split.errors import OutputError, SecretFileError
from binary_split.files import read_secret, secret_output, write_atomically, write_secret
from tests.running import run_python

LONG_NAMES = ["n" * 255, "é" * 127, "𝄞" * 63, " ", "-", ".hidden", "line\nend", "\udcff"]


@pytest.fixture(params=[True, False], ids=["without a name", "under a temporary name"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, on a system that can make files without a name, and on one that cannot."""
    if not request.param:
        monkeypatch.setattr("binary_split.files.os.access", lambda *_arguments: False)
    path = tmp_path / "folder"
    path.mkdir()
    return path


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write(path: Path, content: bytes = b"new") -> None:
    with write_atomically(path) as file:
        file.write(content)


class StopError(Exception):
    """What interrupts a writer."""


# write_atomically


@pytest.mark.parametrize("name", LONG_NAMES, ids=range(len(LONG_NAMES)))
def test_any_name_that_a_file_may_have_can_be_written(folder: Path, name: str) -> None:
    write(folder / name)
    assert (folder / name).read_bytes() == b"new"
    write(folder / name, b"newer")
    assert names(folder) == [name]
    assert (folder / name).read_bytes() == b"newer"


def test_nothing_is_seen_under_the_name_before_the_end(folder: Path) -> None:
    path = folder / "x"
    path.write_bytes(b"older")
    with write_atomically(path) as file:
        for chunk in (b"a" * 100_000, bytearray(b"b"), memoryview(b"c")):
            assert file.write(chunk) == len(chunk)
        assert path.read_bytes() == b"older"
    assert path.read_bytes() == b"a" * 100_000 + b"bc"


@pytest.mark.parametrize("error", [StopError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("older", [None, b"older"])
def test_whatever_stops_a_writer_nothing_is_left(
    folder: Path, older: bytes | None, error: type[BaseException]
) -> None:
    if older:
        (folder / "x").write_bytes(older)
    before = names(folder)

    def stop(file: BinaryIO) -> None:
        file.write(b"half")
        raise error

    with pytest.raises(error), write_atomically(folder / "x") as file:
        stop(file)
    assert names(folder) == before
    assert not older or (folder / "x").read_bytes() == older


def test_an_empty_result_is_a_result(folder: Path) -> None:
    with write_atomically(folder / "x"):
        pass
    assert (folder / "x").read_bytes() == b""


def test_a_symbolic_link_is_followed_and_not_replaced(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real" / "x").write_bytes(b"older")
    (folder / "link").symlink_to("real/x")
    (folder / "dangling").symlink_to("real/y")
    write(folder / "link")
    write(folder / "dangling")
    assert (folder / "link").is_symlink()
    assert (folder / "dangling").is_symlink()
    assert names(folder / "real") == ["x", "y"]
    assert (folder / "real" / "x").read_bytes() == (folder / "real" / "y").read_bytes() == b"new"


def test_a_hard_link_to_the_older_file_keeps_the_older_bytes(folder: Path) -> None:
    (folder / "x").write_bytes(b"older")
    os.link(folder / "x", folder / "other")
    write(folder / "x")
    assert (folder / "other").read_bytes() == b"older"


@pytest.mark.parametrize(("mask", "expected"), [(0, 0o666), (0o022, 0o644), (0o077, 0o600)])
def test_permissions_are_what_the_umask_leaves(folder: Path, mask: int, expected: int) -> None:
    with umask(mask):
        write(folder / "x")
    assert mode(folder / "x") == expected


def test_a_pipe_is_written_to_directly(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((folder / "pipe").read_bytes()))
    reader.start()
    write(folder / "pipe")
    reader.join(5)
    assert got == [b"new"]
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    assert names(folder) == ["pipe"]


def test_a_folder_is_not_written_over(folder: Path) -> None:
    (folder / "x").mkdir()
    with pytest.raises(OutputError, match="it is a folder"), write_atomically(folder / "x"):
        pytest.fail("was opened")
    assert names(folder) == ["x"]


def test_a_folder_that_disappears_is_an_output_error(folder: Path) -> None:
    with pytest.raises(OutputError, match="No such file"), write_atomically(folder / "x"):
        shutil.rmtree(folder)


def test_what_cannot_be_cleaned_up_does_not_hide_what_went_wrong(folder: Path) -> None:
    gone = folder / "gone"
    gone.mkdir()

    def give_way_to_a_file() -> None:  # below which not even nothing can be removed
        gone.rename(folder / "elsewhere")
        gone.touch()

    with pytest.raises(OutputError, match="cannot write"), write_atomically(gone / "x"):
        give_way_to_a_file()


def test_the_error_of_whoever_writes_comes_out_as_it_is(folder: Path) -> None:
    error = OSError(5, "of the source, not of the output")
    with pytest.raises(OSError, match="of the source") as caught, write_atomically(folder / "x"):
        raise error
    assert caught.value is error


def test_file_and_folder_are_synced_before_success_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr("binary_split.files.os.fsync", record)
    write(folder / "x")
    assert synced == [False, True]


# write_secret


@pytest.mark.parametrize("mask", [0, 0o002, 0o022, 0o077])
def test_a_secret_is_for_its_owner_alone_whatever_the_umask(folder: Path, mask: int) -> None:
    with umask(mask):
        write_secret(folder / "fragment", b"\0secret\r\n")
    assert mode(folder / "fragment") == 0o600
    assert (folder / "fragment").read_bytes() == b"\0secret\r\n"
    assert names(folder) == ["fragment"]


def test_a_secret_never_replaces_a_file(folder: Path) -> None:
    path = folder / "fragment"
    path.write_bytes(b"older")
    (folder / "link").symlink_to(path)
    for taken in (path, folder / "link"):
        with pytest.raises(OutputError, match="exists already"):
            write_secret(taken, b"newer")
    assert path.read_bytes() == b"older"
    assert names(folder) == ["fragment", "link"]


def test_the_name_of_a_secret_is_taken_before_it_is_written(folder: Path) -> None:
    path = folder / "fragment"
    with write_atomically(path, overwrite=False) as file:
        with pytest.raises(FileExistsError):
            path.open("xb").close()
        file.write(b"secret")
    assert path.read_bytes() == b"secret"
    assert names(folder) == ["fragment"]


def test_a_name_that_was_taken_for_a_secret_is_given_back_on_failure(folder: Path) -> None:
    with pytest.raises(KeyError), write_atomically(folder / "fragment", overwrite=False):
        raise KeyError
    assert names(folder) == []


def test_a_secret_has_its_name_only_when_it_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.append((folder / "key").exists())
        real(descriptor)

    monkeypatch.setattr("binary_split.files.os.fsync", look)
    write_secret(folder / "key", b"secret")
    assert seen == [False, True], "the file before it has its name, the folder after"


@pytest.mark.parametrize("at", ["fsync", "link"])
def test_a_secret_whose_writer_is_killed_leaves_nothing(folder: Path, at: str) -> None:
    code = f"""
import os, signal
from pathlib import Path
from binary_split.files import write_secret
os.{at} = lambda *_arguments, **_named: os.kill(os.getpid(), signal.SIGKILL)
write_secret(Path("fragment"), b"secret")
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, check=False)
    assert ran.returncode == -signal.SIGKILL
    assert names(folder) == []


def test_a_name_that_is_taken_while_a_secret_is_written_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def take(descriptor: int) -> None:
        (folder / "key").write_bytes(b"another's")
        real(descriptor)

    monkeypatch.setattr("binary_split.files.os.fsync", take)
    with pytest.raises(OutputError, match="exists already"):
        write_secret(folder / "key", b"secret")
    assert (folder / "key").read_bytes() == b"another's"
    assert names(folder) == ["key"]


def test_where_there_are_no_links_as_on_fat_a_secret_is_written_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_named: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("binary_split.files.os.access", lambda *_arguments: False)  # nor files without a name
    monkeypatch.setattr("binary_split.files.os.link", refuse)
    write_secret(folder / "fragment", b"\0secret")
    with pytest.raises(OutputError, match="exists already"):
        write_secret(folder / "fragment", b"second")
    assert (folder / "fragment").read_bytes() == b"\0secret"
    assert mode(folder / "fragment") == 0o600
    assert names(folder) == ["fragment"]


# read_secret


def read(path: Path) -> bytes:
    return read_secret(path, what="fragment", max_bytes=100)


@pytest.mark.parametrize("secret", [b"x", b"\n", b" \t\r\n", b"\0" * 100, b"text\n", b"\xef\xbb\xbftext"])
def test_a_secret_is_read_byte_exact(tmp_path: Path, secret: bytes) -> None:
    write_secret(tmp_path / "fragment", secret)
    assert read(tmp_path / "fragment") == secret


def test_a_secret_is_read_from_a_pipe_and_through_a_link(tmp_path: Path) -> None:
    source, sink = os.pipe()
    os.write(sink, b"secret\n")
    os.close(sink)
    assert read(Path(f"/dev/fd/{source}")) == b"secret\n"
    os.close(source)
    (tmp_path / "fragment").write_bytes(b"x")
    (tmp_path / "link").symlink_to("fragment")
    assert read(tmp_path / "link") == b"x"


def test_a_dash_is_stdin() -> None:
    code = "from binary_split.files import *; print(read_secret(Path('-'), what='token', max_bytes=9))"
    assert run_python(code, input=b"a\r\n\0").stdout == b"b'a\\r\\n\\x00'\n"
    done = run_python(code, stdin=subprocess.DEVNULL)
    assert b"SecretFileError: the token file - is empty" in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"x" * 101, "is longer than 100 bytes"), (None, "No such file")],
)
def test_a_file_that_holds_no_secret_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "fragment"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SecretFileError, match=f"fragment file .*{path}.* {words}|{path}: {words}"):
        read(path)


def test_a_folder_and_an_endless_device_are_no_secret(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match=r"directory|folder"):
        read(tmp_path)
    with pytest.raises(SecretFileError, match="longer than 100 bytes"):
        read(Path("/dev/zero"))


def test_a_secret_that_cannot_be_taken_back_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    def fail() -> None:
        with secret_output(tmp_path / "secret") as deliver:
            deliver(b"secret")
            monkeypatch.setattr(Path, "unlink", refuse)
            raise OutputError("what went wrong")

    with pytest.raises(OutputError, match="what went wrong"):
        fail()
