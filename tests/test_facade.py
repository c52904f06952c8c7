"""The face that never changes: five names, and what their functions promise."""

from __future__ import annotations

import inspect
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

import binary_split
from bed.dockerd import PrivateDockerd
from bed.unavailable import Unavailable
from binary_split import (
    API_SERVICES,
    BinarySplitError,
    check_images_loaded,
    decrypt_archive,
    docker_load,
    download_key_fragment,
)
from binary_split.archive.cbc import BLOCK, CbcReader
from binary_split.config import GIB, LIMITS, MIB
from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveUnreadableError,
    EngineAnswerError,
    EngineLoadError,
    EnginePermissionError,
    EngineProgramMissingError,
    EngineTimeoutError,
    EngineUnreachableError,
    ImageReferenceError,
    OutputError,
)
from binary_split.model import Fragment
from binary_split.transports.file import FileSource
from tests.running import run_python, started
from tests.sealed import seal_same

FRAGMENT = b"the fragment of a test"
PLAINTEXT = b"an image tar, or so\n" * 1000
NOBODY = 65534
DECRYPT = """
import sys
from binary_split import decrypt_archive
decrypt_archive(sys.argv[1], b"the fragment of a test", sys.argv[2])
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "release.cbc"
    path.write_bytes(seal_same(PLAINTEXT, FRAGMENT))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for the output, so that whatever is left over shows."""
    path = tmp_path / "out"
    path.mkdir()
    return path


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_sparse_archive(path: Path, plain_size: int) -> Path:
    """Write an archive of any length that takes no room: zeros, then one block whose padding is right."""
    padding = BLOCK - plain_size % BLOCK
    last = b"the last block, "[: BLOCK - padding] + bytes([padding]) * padding
    end = open_last_block(last)
    with path.open("wb") as file:
        file.truncate(plain_size + padding)
        file.seek(0, os.SEEK_END)
        file.write(end)
    return path


def open_last_block(last: bytes) -> bytes:
    """Encrypt a block as it stands after a block of zeros."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    from binary_split.archive.cbc import derive_key

    cipher = Cipher(algorithms.AES256(derive_key(Fragment(FRAGMENT))), modes.CBC(bytes(BLOCK)))
    return cipher.encryptor().update(last)


# The names


def test_the_five_names_have_exactly_their_signatures() -> None:
    signatures: dict[Callable[..., object], str] = {
        download_key_fragment: "(resource_api_url: 'str', token: 'str') -> 'bytes'",
        decrypt_archive: "(encrypted_path: 'str', key_fragment: 'bytes', output_path: 'str') -> 'None'",
        docker_load: "(tar_path: 'str') -> 'None'",
        check_images_loaded: "(version: 'str') -> 'bool'",
    }
    for function, expected in signatures.items():
        assert str(inspect.signature(function)) == expected
        assert function.__module__.startswith("binary_split")
    assert API_SERVICES == [
        "azaion/annotations",
        "azaion/flights",
        "azaion/detections",
        "azaion/gps-denied-onboard",
        "azaion/gps-denied-desktop",
        "azaion/autopilot",
        "azaion/ai-training",
    ]


def test_what_is_exported_is_pinned_sorted_and_there() -> None:
    assert binary_split.__all__ == [
        "API_SERVICES",
        "BinarySplitError",
        "__version__",
        "check_images_loaded",
        "decrypt_archive",
        "docker_load",
        "download_key_fragment",
        "errors",
    ]
    assert binary_split.__all__ == sorted(binary_split.__all__)
    assert all(hasattr(binary_split, name) for name in binary_split.__all__)


@pytest.mark.parametrize(
    "function", [download_key_fragment, decrypt_archive, docker_load, check_images_loaded]
)
def test_each_function_says_what_it_does_and_raises(function: Callable[..., object]) -> None:
    text = inspect.getdoc(function) or ""
    assert text.partition("\n")[0].endswith(".")
    assert "Raises:" in text


def test_arguments_may_be_given_by_name(archive: Path, folder: Path) -> None:
    decrypt_archive(
        encrypted_path=str(archive), key_fragment=FRAGMENT, output_path=str(output := folder / "x.tar")
    )
    assert output.read_bytes() == PLAINTEXT


# decrypt_archive


def test_the_output_appears_whole_with_the_usual_permissions(archive: Path, folder: Path) -> None:
    before = os.umask(0o027)
    try:
        decrypt_archive(str(archive), FRAGMENT, str(folder / "x.tar"))
    finally:
        os.umask(before)
    assert (folder / "x.tar").read_bytes() == PLAINTEXT
    assert (folder / "x.tar").stat().st_mode & 0o777 == 0o640
    assert listing(folder) == ["x.tar"]


def test_an_older_output_is_replaced(archive: Path, folder: Path) -> None:
    (folder / "x.tar").write_bytes(b"older and longer" * 5000)
    decrypt_archive(str(archive), FRAGMENT, str(folder / "x.tar"))
    assert (folder / "x.tar").read_bytes() == PLAINTEXT
    assert listing(folder) == ["x.tar"]


def test_an_archive_may_be_decrypted_over_itself(archive: Path) -> None:
    decrypt_archive(str(archive), FRAGMENT, str(archive))
    assert archive.read_bytes() == PLAINTEXT


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def cut_a_block(path: Path) -> None:
    os.truncate(path, path.stat().st_size - BLOCK)


def remove(path: Path) -> None:
    path.unlink()


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def make_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


BAD_INPUTS: list[tuple[Callable[[Path], None], type[BinarySplitError]]] = [
    (empty, ArchiveDamagedError),
    (cut, ArchiveDamagedError),
    (cut_a_block, ArchiveDamagedError),
    (remove, ArchiveUnreadableError),
    (make_fifo, ArchiveUnreadableError),
    (make_folder, ArchiveUnreadableError),
    (make_loop, ArchiveUnreadableError),
    (make_device, ArchiveUnreadableError),
]


@pytest.mark.fault(1, 2, 3, 25)
@pytest.mark.parametrize("older", [None, b"an older output"], ids=["no older output", "an older output"])
@pytest.mark.parametrize(("spoil", "expected"), BAD_INPUTS, ids=[spoil.__name__ for spoil, _ in BAD_INPUTS])
def test_bad_input_is_named_at_once_and_leaves_everything_as_it_was(
    archive: Path,
    folder: Path,
    older: bytes | None,
    spoil: Callable[[Path], None],
    expected: type[BinarySplitError],
) -> None:
    output = folder / "x.tar"
    if older is not None:
        output.write_bytes(older)
    before = listing(folder)
    spoil(archive)
    started_at = time.monotonic()
    with pytest.raises(expected):
        decrypt_archive(str(archive), FRAGMENT, str(output))
    assert time.monotonic() - started_at < 2
    assert listing(folder) == before
    assert older is None or output.read_bytes() == older


def test_a_wrong_fragment_leaves_an_older_output_as_it_was(archive: Path, folder: Path) -> None:
    (folder / "x.tar").write_bytes(b"older")
    with pytest.raises(ArchiveDamagedError, match=r"^wrong fragment or damaged archive$"):
        decrypt_archive(str(archive), b"wrong", str(folder / "x.tar"))
    assert listing(folder) == ["x.tar"]
    assert (folder / "x.tar").read_bytes() == b"older"


def test_a_failure_in_the_middle_leaves_an_older_output_as_it_was(
    archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sparse_archive(archive, 3 * LIMITS.chunk_bytes)
    (folder / "x.tar").write_bytes(b"older")
    read_at, reads = FileSource.read_at, count(1)

    def fail_later(source: FileSource, offset: int, target: memoryview) -> int:
        if next(reads) == 3:
            os.truncate(source.path, 0)
        return read_at(source, offset, target)

    monkeypatch.setattr("binary_split.transports.file.FileSource.read_at", fail_later)
    with pytest.raises(ArchiveUnreadableError, match="became shorter"):
        decrypt_archive(str(archive), FRAGMENT, str(folder / "x.tar"))
    assert listing(folder) == ["x.tar"]
    assert (folder / "x.tar").read_bytes() == b"older"


def test_output_to_a_device_leaves_the_device_in_place(archive: Path) -> None:
    before = Path("/dev/null").stat()
    decrypt_archive(str(archive), FRAGMENT, "/dev/null")
    after = Path("/dev/null").stat()
    assert (before.st_ino, before.st_rdev, before.st_mode) == (after.st_ino, after.st_rdev, after.st_mode)
    with pytest.raises(OutputError, match="No space left"):
        decrypt_archive(str(archive), FRAGMENT, "/dev/full")


@pytest.mark.parametrize("name", ["missing/x.tar", ".", "n" * 256, "é" * 125 + "/x", "file/x.tar"])
def test_an_output_that_cannot_be_is_an_output_error(archive: Path, folder: Path, name: str) -> None:
    (folder / "file").write_bytes(b"no folder")
    with pytest.raises(OutputError, match="cannot write"):
        decrypt_archive(str(archive), FRAGMENT, f"{folder}/{name}")
    assert listing(folder) == ["file"]


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while, where we are root: root may write anywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("mode", [0o555, 0o000], ids=["not writable", "not searchable"])
def test_a_folder_that_is_not_ours_is_an_output_error(archive: Path, mode: int) -> None:
    with tempfile.TemporaryDirectory(prefix="facade-") as name, FileSource(archive) as source:
        Path(name).chmod(mode)
        try:
            with unprivileged(), pytest.raises(OutputError, match="Permission denied"):
                decrypt_archive(f"/proc/self/fd/{source.fileno()}", FRAGMENT, f"{name}/x.tar")
        finally:
            Path(name).chmod(0o700)
        assert listing(Path(name)) == []


def test_an_archive_that_is_not_ours_is_unreadable(archive: Path, folder: Path) -> None:
    archive.chmod(0o000)
    with unprivileged(), pytest.raises(ArchiveUnreadableError, match="Permission denied"):
        decrypt_archive(str(archive), FRAGMENT, str(folder / "x.tar"))


@pytest.fixture
def small_disk(tmp_path: Path, could_not_run: Callable[[Unavailable], None]) -> Iterator[Path]:
    """A file system of 1 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        could_not_run(Unavailable("tmpfs", done.stderr.strip() or "cannot be mounted"))
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.fault(44)
def test_a_full_disk_is_an_output_error_and_is_not_left_full(archive: Path, small_disk: Path) -> None:
    write_sparse_archive(archive, 2 * MIB)
    (small_disk / "x.tar").write_bytes(b"older")
    with pytest.raises(OutputError, match="No space left"):
        decrypt_archive(str(archive), FRAGMENT, str(small_disk / "x.tar"))
    assert listing(small_disk) == ["x.tar"]
    assert (small_disk / "x.tar").read_bytes() == b"older"
    (small_disk / "free").write_bytes(bytes(MIB // 2))


@pytest.mark.fault(44)
def test_a_read_only_disk_is_an_output_error(archive: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match="Read-only file system"):
        decrypt_archive(str(archive), FRAGMENT, str(small_disk / "x.tar"))


def test_a_size_limit_is_an_output_error(archive: Path, folder: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
    done = run_python(limit + DECRYPT, archive, folder / "x.tar")
    assert done.returncode == 1
    assert b"OutputError: cannot write" in done.stderr
    assert b"File too large" in done.stderr
    assert listing(folder) == []


def test_killed_in_the_middle_leaves_nothing(
    archive: Path, folder: Path, could_not_run: Callable[[Unavailable], None]
) -> None:
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY))
    except OSError as error:
        could_not_run(Unavailable("O_TMPFILE", f"not on this file system: {error.strerror}"))
    write_sparse_archive(archive, 4 * GIB)
    with started(DECRYPT, archive, folder / "x.tar") as process:
        wait_until(lambda: written_to(process.pid, folder) > MIB)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert listing(folder) == []


def written_to(pid: int, folder: Path) -> int:
    """Return how much a process has written into files without a name in a folder."""
    total = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if str(link.readlink()).startswith(f"{folder}/"):
                total += link.stat().st_size
        except FileNotFoundError:
            continue  # closed in the meantime
    return total


def wait_until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


MEASURE = """
import sys
from pathlib import Path
import binary_split.archive.cbc, binary_split.files, binary_split.transports.file
from binary_split import decrypt_archive
def peak_kib():  # of this program alone: ru_maxrss counts what the parent had when it forked
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])
before = peak_kib()
decrypt_archive(sys.argv[1], b"the fragment of a test", "/dev/null")
print(peak_kib() - before)
"""


@pytest.mark.fault(17)
@pytest.mark.slow
@pytest.mark.parametrize("size", [2 * GIB + 1, 4 * GIB + 1], ids=["2 GiB + 1", "4 GiB + 1"])
def test_a_huge_archive_is_decrypted_in_constant_memory(archive: Path, size: int) -> None:
    write_sparse_archive(archive, size)
    with FileSource(archive) as source:
        reader = CbcReader(source, Fragment(FRAGMENT))
        assert reader.size == size
        reader.seek(size - 1)
        assert reader.read() == b"t"
    done = run_python(MEASURE, archive)
    assert done.stderr == b""
    assert int(done.stdout) < 64 * 1024


# docker_load and check_images_loaded, with a program that only says what it was called with

FAKE = """#!/bin/sh
{{ printf '%s\\n' "$#" "$@"; }} >> '{log}'
env > '{log}.environ'
{body}
"""


class FakeDocker:
    """A ``docker`` on PATH that notes its arguments and environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log"

    def does(self, body: str) -> None:
        """Install it."""
        program = self._folder / "docker"
        program.write_text(FAKE.format(log=self._log, body=body))
        program.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call."""
        lines = iter(self._log.read_text().splitlines())
        return [[next(lines) for _ in range(int(count))] for count in lines]

    @property
    def environ(self) -> str:
        """The environment of the last call."""
        return Path(f"{self._log}.environ").read_text()


@pytest.fixture
def fake_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return FakeDocker(folder)


@pytest.mark.parametrize("path", ["/x/release.tar", "with space.tar", "-o", "$(id).tar", "ünï.tar", ""])
def test_docker_load_runs_exactly_that(fake_docker: FakeDocker, path: str) -> None:
    fake_docker.does("echo 'Loaded image: x:1'; exit 0")
    docker_load(path)
    assert fake_docker.calls == [["load", "-i", path]]


def test_check_asks_for_each_service_in_order(fake_docker: FakeDocker) -> None:
    fake_docker.does("echo '[]'; exit 0")
    assert check_images_loaded("1.2.3") is True
    assert fake_docker.calls == [["image", "inspect", f"{name}:1.2.3"] for name in API_SERVICES]


@pytest.mark.parametrize(
    "words", ["Error: No such image: x", "Error response from daemon: No such image: x:1"]
)
def test_check_stops_at_the_first_that_is_missing(fake_docker: FakeDocker, words: str) -> None:
    fake_docker.does(f"case $3 in *detections*) echo '{words}' >&2; exit 1;; esac")
    assert check_images_loaded("1.2.3") is False
    assert [call[2] for call in fake_docker.calls] == [f"{name}:1.2.3" for name in API_SERVICES[:3]]


@pytest.mark.parametrize(
    "version", ["", "1 2", "1:2", "a/b", "-1", "x" * 129, "1.0\n", "@sha256:" + "0" * 64]
)
def test_a_version_that_is_no_tag_reaches_no_program(fake_docker: FakeDocker, version: str) -> None:
    fake_docker.does("exit 0")
    with pytest.raises(ImageReferenceError):
        check_images_loaded(version)
    with pytest.raises(FileNotFoundError):
        _ = fake_docker.calls


def test_the_token_is_not_in_the_programs_environment(
    fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINARY_SPLIT_TOKEN", "bst_secret")
    monkeypatch.setenv("DOCKER_HOST", "unix:///some/where")
    fake_docker.does("exit 0")
    docker_load("x.tar")
    assert "DOCKER_HOST=unix:///some/where\n" in fake_docker.environ
    assert "bst_secret" not in fake_docker.environ
    assert check_images_loaded("1.0.0")
    assert "bst_secret" not in fake_docker.environ


DOCKERS_WORDS: dict[str, type[BinarySplitError]] = {
    "Cannot connect to the Docker daemon at unix:///x. Is it running?": EngineUnreachableError,
    "error during connect: the docker daemon may not be running": EngineUnreachableError,
    "failed to connect to the docker API at unix:///x; check the path": EngineUnreachableError,
    "permission denied while trying to connect to the Docker daemon socket": EnginePermissionError,
    "Got permission denied while trying to connect to the Docker daemon": EnginePermissionError,
    "invalid reference format": ImageReferenceError,
}


@pytest.mark.parametrize(("words", "expected"), DOCKERS_WORDS.items())
def test_what_docker_says_is_told_apart(
    fake_docker: FakeDocker, words: str, expected: type[BinarySplitError]
) -> None:
    fake_docker.does(f'echo "{words}" >&2; exit 1')
    with pytest.raises(expected, match="docker load` failed"):
        docker_load("x.tar")
    with pytest.raises(expected, match="docker image inspect` failed"):
        check_images_loaded("1.0.0")


def test_the_last_lines_of_stderr_are_in_the_message(fake_docker: FakeDocker) -> None:
    fake_docker.does("seq -f 'line %g' 30 >&2; exit 3")
    with pytest.raises(EngineLoadError) as caught:
        docker_load("x.tar")
    assert str(caught.value).endswith("\nline 29\nline 30")
    assert "line 21" in str(caught.value)
    assert "line 20" not in str(caught.value)
    with pytest.raises(EngineAnswerError, match=r"line 30$"):
        check_images_loaded("1.0.0")


def test_a_flood_on_stderr_is_cut(fake_docker: FakeDocker) -> None:
    fake_docker.does("head -c 300000 /dev/zero | tr '\\0' x >&2; exit 3")
    with pytest.raises(EngineLoadError) as caught:
        docker_load("x.tar")
    assert len(str(caught.value)) < LIMITS.engine_error_bytes + 100


def test_silence_and_bytes_that_are_no_text_are_failures_too(fake_docker: FakeDocker) -> None:
    fake_docker.does("exit 9")
    with pytest.raises(EngineLoadError, match="did not say why"):
        docker_load("x.tar")
    fake_docker.does("printf '\\377\\376oops' >&2; exit 9")
    with pytest.raises(EngineLoadError, match="oops"):
        docker_load("x.tar")


def test_without_a_docker_program_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for ask in (lambda: docker_load("x.tar"), lambda: check_images_loaded("1.0.0")):
        with pytest.raises(EngineProgramMissingError, match="No such file"):
            ask()
    (tmp_path / "docker").write_text("not executable")
    with pytest.raises(EngineProgramMissingError, match="Permission denied"):
        docker_load("x.tar")


# The real program


@pytest.fixture
def real_docker(
    program: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """The real ``docker``, with nobody's settings."""
    program("docker")
    for name in ("DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "client"))
    return monkeypatch


@pytest.fixture
def a_tar(tmp_path: Path) -> str:
    path = tmp_path / "x.tar"
    path.write_bytes(bytes(10240))
    return str(path)


def test_an_engine_that_is_not_there_is_unreachable(
    real_docker: pytest.MonkeyPatch, tmp_path: Path, a_tar: str
) -> None:
    real_docker.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(EngineUnreachableError):
        docker_load(a_tar)
    with pytest.raises(EngineUnreachableError):
        check_images_loaded("1.0.0")


@pytest.mark.slow
def test_an_engine_that_never_answers_is_a_timeout(real_docker: pytest.MonkeyPatch, a_tar: str) -> None:
    limits = replace(LIMITS, engine_ask_timeout_s=0.5)
    real_docker.setattr("binary_split.engines.docker_program.LIMITS", limits)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{folder}/s")
        silent.listen(16)
        real_docker.setenv("DOCKER_HOST", f"unix://{folder}/s")
        for ask in (lambda: docker_load(a_tar), lambda: check_images_loaded("1.0.0")):
            began = time.monotonic()
            with pytest.raises(EngineTimeoutError, match="does not answer"):
                ask()
            assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_load_may_take_longer_than_the_engines_answer(
    fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(LIMITS, engine_ask_timeout_s=1)  # is long enough for a busy machine to say a word
    monkeypatch.setattr("binary_split.engines.docker_program.LIMITS", limits)
    fake_docker.does("[ $1 = version ] || sleep 1.2")
    docker_load("x.tar")
    assert ["version", "--format", "{{.Server.Version}}"] in fake_docker.calls


@pytest.fixture
def device(fresh_device: PrivateDockerd, real_docker: pytest.MonkeyPatch) -> PrivateDockerd:
    """The device's empty engine, to which the program's environment points."""
    real_docker.setenv("DOCKER_HOST", fresh_device.host)
    return fresh_device


@pytest.mark.engine
def test_a_loaded_release_is_found_and_another_version_is_not(
    device: PrivateDockerd, release_tar: Path
) -> None:
    assert check_images_loaded("1.0.0") is False
    docker_load(str(release_tar))
    assert check_images_loaded("1.0.0") is True
    assert check_images_loaded("9.9.9") is False
    device.docker("rmi", f"{API_SERVICES[-1]}:1.0.0")
    assert check_images_loaded("1.0.0") is False


@pytest.mark.engine
def test_a_sealed_release_is_decrypted_loaded_and_found(
    device: PrivateDockerd, release_tar: Path, tmp_path: Path
) -> None:
    sealed, plain = tmp_path / "release.cbc", tmp_path / "release.tar"
    sealed.write_bytes(seal_same(release_tar.read_bytes(), FRAGMENT))
    decrypt_archive(str(sealed), FRAGMENT, str(plain))
    docker_load(str(plain))
    assert check_images_loaded("1.0.0") is True
    assert plain.read_bytes() == release_tar.read_bytes()


@pytest.mark.engine
def test_a_damaged_tar_fails_with_dockers_words(
    device: PrivateDockerd, release_tar: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(release_tar.read_bytes()[: release_tar.stat().st_size // 2])
    with pytest.raises(EngineLoadError, match=r"`docker load` failed: \S"):
        docker_load(str(damaged))
    with pytest.raises(EngineLoadError, match="no such file"):
        docker_load(str(tmp_path / "missing.tar"))
    assert device.image_ids() == {}
    assert check_images_loaded("1.0.0") is False
