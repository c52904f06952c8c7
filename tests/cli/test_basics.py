"""The program as a shell sees it: exit codes, which stream says what, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bed.images import build_release
from binary_split import __version__
from binary_split.errors import EngineAnswerError, JournalError
from tests.running import CLI, child_environment, python, run_cli, started
from tests.sealed import seal_same
from tests.test_facade import write_sparse_archive

pytestmark = pytest.mark.slow  # each test runs the program

FRAGMENT = b"the fragment of a test"
COMMANDS = [
    *(
        "seal",
        "unlock",
        "prune",
        "check",
        "doctor",
        "decrypt",
        "inspect",
        "push",
        "split",
        "keygen",
        "verify",
        "extract",
        "rekey",
        "identity",
    ),
    "docker-plugin",
    *("device", "enroll", "key", "token", "release", "admin", "agent", "keyservice"),
]
GROUPS = {"admin", "agent", "device", "key", "token", "keyservice"}


class Shelf:
    """A folder with a sealed release, its fragment and a wrong one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plain = folder / "release.tar"
        self.ids = build_release(self.plain, "1.0.0", names=["azaion/flights", "azaion/autopilot"])
        self.archive = folder / "release.cbc"
        self.archive.write_bytes(seal_same(self.plain.read_bytes(), FRAGMENT))
        self.fragment = folder / "fragment"
        self.fragment.write_bytes(FRAGMENT)
        self.wrong = folder / "wrong"
        self.wrong.write_bytes(FRAGMENT + b"\n")
        self.out = folder / "out"
        self.out.mkdir()

    @property
    def left(self) -> list[str]:
        """What lies in the folder for results."""
        return sorted(path.name for path in self.out.iterdir())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


# The program as such


def test_the_version_is_said() -> None:
    done = run_cli("--version")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"binary-split, version {__version__}\n".encode(),
        b"",
    )


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command_with_a_line(option: str) -> None:
    done = run_cli(option)
    assert (done.returncode, done.stderr) == (0, b"")
    listed = re.findall(r"^  ([a-z][a-z-]+)  +([A-Z].*\.)$", done.stdout.decode(), re.MULTILINE)
    assert [name for name, _line in listed] == COMMANDS


@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in GROUPS])
def test_each_command_explains_its_options(command: str) -> None:
    done = run_cli(command, "--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"Usage: -c {command} [OPTIONS]".encode() in done.stdout


WRONG_LINES = [
    [],
    ["unheard-of"],
    ["decrypt"],
    ["decrypt", "archive", "--fragment-file", "f"],
    ["decrypt", "archive", "--fragment-file", "f", "-o", "x", "surplus"],
    ["decrypt", "archive", "--fragment-file", "f", "-o", "x", "--progress", "loud"],
    ["seal", "--version", "1", "--format", "zip", "--fragment-file", "f", "-o", "x"],
    ["check"],
]


@pytest.mark.parametrize("line", WRONG_LINES, ids=" ".join)
def test_a_wrong_command_line_is_a_usage_error(line: list[str], tmp_path: Path) -> None:
    done = run_cli(*line, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Usage: " in done.stderr
    assert b"Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


# decrypt


def test_decrypt_writes_the_tar_and_says_so_on_stderr_only(shelf: Shelf) -> None:
    done = run_cli(
        "decrypt", shelf.archive, "--fragment-file", shelf.fragment, "-o", shelf.out / "release.tar"
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert (shelf.out / "release.tar").read_bytes() == shelf.plain.read_bytes()
    assert b"decrypted " in done.stderr
    assert b"warning: a cbc archive does not prove" in done.stderr
    assert shelf.left == ["release.tar"]


def test_decrypt_works_in_a_pipe(shelf: Shelf) -> None:
    with shelf.archive.open("rb") as archive:
        done = run_cli("decrypt", "-", "--fragment-file", shelf.fragment, "-o", "-", stdin=archive)
    assert done.returncode == 0
    assert done.stdout == shelf.plain.read_bytes()


def test_the_fragment_may_come_from_stdin(shelf: Shelf) -> None:
    done = run_cli("decrypt", shelf.archive, "--fragment-file", "-", "-o", "-", input=FRAGMENT)
    assert done.stdout == shelf.plain.read_bytes()
    both = run_cli("decrypt", "-", "--fragment-file", "-", "-o", shelf.out / "x", input=FRAGMENT)
    assert both.returncode == 3
    assert b"stdin cannot be two things" in both.stderr
    assert shelf.left == []


@pytest.mark.parametrize("from_stdin", [False, True], ids=["file", "stdin"])
def test_a_wrong_fragment_exits_12_and_leaves_nothing(shelf: Shelf, from_stdin: bool) -> None:
    with shelf.archive.open("rb") as archive:
        source = "-" if from_stdin else shelf.archive
        done = run_cli(
            "decrypt", source, "--fragment-file", shelf.wrong, "-o", shelf.out / "x.tar", stdin=archive
        )
    assert (done.returncode, done.stdout) == (12, b"")
    assert done.stderr.decode().splitlines() == [
        "error: wrong fragment or damaged archive",
        "hint: Copy the archive again, and check that the fragment belongs to this release.",
    ]
    assert shelf.left == []


def test_a_failure_leaves_an_older_output_as_it_was(shelf: Shelf) -> None:
    (shelf.out / "x.tar").write_bytes(b"older")
    done = run_cli("decrypt", shelf.archive, "--fragment-file", shelf.wrong, "-o", shelf.out / "x.tar")
    assert done.returncode == 12
    assert shelf.left == ["x.tar"]
    assert (shelf.out / "x.tar").read_bytes() == b"older"


CLOSED = "x" * 300  # like what lies in a folder that is closed to this user, it cannot even be looked at
FROM_FILE = ["--fragment-file", "fragment"]
ENROL = ["enroll", "code", "--key-service", "http://127.0.0.1:1", "--token-file", "token"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["inspect", f"{CLOSED}.001"], 11),
        (["unlock", "missing", "--version", "1", "--engine", "oci:images", *FROM_FILE], 11),
        (["check", "--version", "1", "--state", CLOSED, "--engine", "oci:images"], JournalError.exit_code),
        (["check", "--version", "1", "--engine", f"oci:{CLOSED}"], EngineAnswerError.exit_code),
        (["doctor", "--state", CLOSED, "--engine", f"oci:{CLOSED}"], 90),
        (["key", "list", "--state", CLOSED], 61),
        (["keyservice", "init", "--state", CLOSED], 61),
        (["keyservice", "backup", "file", "--state", CLOSED], 61),
        ([*ENROL, "--device-key", CLOSED], 5),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_what_cannot_be_looked_at_is_an_error_of_ours(line: list[str], code: int, tmp_path: Path) -> None:
    environment = child_environment(BINARY_SPLIT_STATE=str(tmp_path / "state"))
    done = run_cli(*line, cwd=tmp_path, env=environment)
    assert done.returncode == code, done.stderr
    assert b"error: " in done.stderr
    assert b"broke" not in done.stdout


@pytest.mark.fault(25)
def test_each_cause_has_its_exit_code_and_a_hint(shelf: Shelf) -> None:
    empty = shelf.folder / "empty"
    empty.write_bytes(b"")
    os.mkfifo(fifo := shelf.folder / "fifo")
    output = shelf.out / "x"
    for archive, fragment, out, code in (
        (shelf.folder / "missing", shelf.fragment, output, 11),
        (shelf.folder, shelf.fragment, output, 11),
        (fifo, shelf.fragment, output, 11),
        (empty, shelf.fragment, output, 12),
        (shelf.archive, shelf.folder / "missing", output, 4),
        (shelf.archive, shelf.folder, output, 4),
        (shelf.archive, empty, output, 4),
        (shelf.archive, shelf.archive, output, 4),  # longer than any fragment
        (shelf.archive, shelf.fragment, shelf.folder, 5),
        (shelf.archive, shelf.fragment, shelf.folder / "missing" / "x", 5),
        (shelf.archive, shelf.fragment, Path("/dev/full"), 5),
    ):
        done = run_cli("decrypt", archive, "--fragment-file", fragment, "-o", out)
        assert (done.returncode, done.stdout) == (code, b"")
        first, second = done.stderr.decode().splitlines()
        assert first.startswith("error: ")
        assert second.startswith("hint: ")
    assert shelf.left == []


@pytest.mark.fault(25)
def test_a_stdin_that_fails_is_an_unreadable_archive(shelf: Shelf) -> None:
    with Path("/proc/self/mem").open("rb") as failing:  # its first page gives EIO
        done = run_cli(
            "decrypt", "-", "--fragment-file", shelf.fragment, "-o", shelf.out / "x", stdin=failing
        )
    assert done.returncode == 11
    assert done.stderr.startswith(b"error: cannot read the archive from stdin: Input/output error\n")
    assert shelf.left == []


def test_progress_as_json_is_lines_on_stdout(shelf: Shelf) -> None:
    done = run_cli(
        *("decrypt", shelf.archive, "--fragment-file", shelf.fragment, "-o", shelf.out / "x"),
        *("--progress", "json"),
    )
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events
    for event in events:
        assert event.keys() == {
            "event",
            "step",
            "done_bytes",
            "total_bytes",
            "rate_bytes_per_s",
            "remaining_s",
            "elapsed_s",
            "images",
            "waiting_for",
        }
        assert (event["event"], event["step"]) == ("progress", "decrypting")
    size = shelf.plain.stat().st_size
    assert (events[-1]["done_bytes"], events[-1]["total_bytes"]) == (size, size)


def test_an_error_is_an_event_too(shelf: Shelf) -> None:
    done = run_cli(
        *("decrypt", shelf.archive, "--fragment-file", shelf.fragment, "-o", "/dev/full"),
        *("--progress", "json"),
    )
    assert done.returncode == 5
    event = json.loads(done.stdout.splitlines()[-1])
    assert event.keys() == {"event", "code", "message", "hint", "exit_code", "retryable"}
    assert (event["event"], event["code"], event["exit_code"]) == ("error", "output", 5)
    assert done.stderr.startswith(b"error: cannot write /dev/full")


def test_what_fails_before_the_first_byte_is_an_event_too(shelf: Shelf) -> None:
    missing = shelf.folder / "missing"
    decrypt = ("decrypt", "-o", shelf.out / "x", "--progress", "json")
    for line, code, exit_code in (
        ((*decrypt, shelf.archive, "--fragment-file", shelf.wrong), "archive-damaged", 12),
        ((*decrypt, missing, "--fragment-file", shelf.fragment), "archive-unreadable", 11),
        ((*decrypt, shelf.archive, "--fragment-file", missing), "secret-file", 4),
    ):
        done = run_cli(*line)
        assert done.returncode == exit_code
        assert [json.loads(row)["code"] for row in done.stdout.splitlines()] == [code]


def test_an_engine_or_a_source_that_is_not_there_is_an_event_too(shelf: Shelf) -> None:
    missing = shelf.folder / "missing"
    release = ("--version", "1.0.0", "--fragment-file", shelf.fragment, "--progress", "json")
    origin = ("--format", "cbc", "--from", f"docker-archive:{missing}")
    for line, code in (
        (("seal", *release, "-o", shelf.out / "x", *origin), 11),
        (("unlock", *release, shelf.archive, "--allow-unauthenticated", "--engine", "docker"), 42),
    ):
        done = run_cli(*line, env=child_environment(DOCKER_HOST=f"unix://{missing}"))
        assert done.returncode == code
        assert [json.loads(row)["exit_code"] for row in done.stdout.splitlines()] == [code]
    assert shelf.left == []


def test_tar_and_json_do_not_share_stdout(shelf: Shelf) -> None:
    done = run_cli(
        "decrypt", shelf.archive, "--fragment-file", shelf.fragment, "-o", "-", "--progress", "json"
    )
    assert (done.returncode, done.stdout) == (3, b"")


def test_the_fragment_is_in_nothing_that_is_said(shelf: Shelf) -> None:
    for fragment in (shelf.fragment, shelf.wrong):
        for line in (["decrypt", "-o", shelf.out / "x"], ["inspect", "--json"]):
            done = run_cli(*line, shelf.archive, "--fragment-file", fragment)
            assert FRAGMENT not in done.stdout + done.stderr


# inspect


def test_inspect_shows_the_format_and_with_the_fragment_the_images(shelf: Shelf) -> None:
    short = run_cli("inspect", shelf.archive)
    assert (short.returncode, short.stderr) == (0, b"")
    assert [line.split()[0] for line in short.stdout.decode().splitlines()] == [
        "format",
        "size",
        "authenticated",
    ]
    full = run_cli("inspect", shelf.archive, "--fragment-file", shelf.fragment)
    assert (full.returncode, full.stderr) == (0, b"")
    for ref, image_id in shelf.ids.items():
        assert ref in full.stdout.decode()
        assert image_id in full.stdout.decode()


def test_inspect_as_json_has_a_fixed_form(shelf: Shelf) -> None:
    size = shelf.archive.stat().st_size
    short = json.loads(run_cli("inspect", shelf.archive, "--json").stdout)
    assert short == {
        "archive": str(shelf.archive),
        "format": "cbc",
        "size_bytes": size,
        "authenticated": False,
    }
    done = run_cli("inspect", shelf.archive, "--fragment-file", shelf.fragment, "--json")
    full = json.loads(done.stdout)
    assert full.keys() - short.keys() == {"plain_bytes", "layers", "layer_bytes", "shared_bytes", "images"}
    assert full["plain_bytes"] == shelf.plain.stat().st_size
    for image in full["images"]:
        assert image.keys() == {"refs", "id", "platform", "layers", "layer_bytes"}
    assert {ref: image["id"] for image in full["images"] for ref in image["refs"]} == shelf.ids
    assert done.stdout.count(b"\n") == 1


def test_inspect_says_the_same_of_a_wrong_fragment_and_of_damage(shelf: Shelf) -> None:
    damaged = bytearray(shelf.archive.read_bytes())
    damaged[100] ^= 1  # in the first header of the tar
    (shelf.folder / "damaged").write_bytes(damaged)
    wrong = run_cli("inspect", shelf.archive, "--fragment-file", shelf.wrong)
    other = run_cli("inspect", shelf.folder / "damaged", "--fragment-file", shelf.fragment)
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (other.returncode, other.stdout, other.stderr)
    assert wrong.returncode == 12


def test_inspect_of_no_archive_is_refused(shelf: Shelf) -> None:
    done = run_cli("inspect", shelf.fragment)
    assert (done.returncode, done.stdout) == (12, b"")
    assert b"none is 22 bytes long" in done.stderr


def test_a_name_that_is_no_text_is_no_obstacle(shelf: Shelf) -> None:
    odd = os.fsdecode(os.fsencode(shelf.folder) + b"/\xff\x1b.cbc")
    shelf.archive.rename(odd)
    done = run_cli("inspect", odd, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["archive"] == odd
    output = os.fsdecode(os.fsencode(shelf.out) + b"/\xff.tar")
    done = run_cli("decrypt", odd, "--fragment-file", shelf.fragment, "-o", output)
    assert done.returncode == 0
    assert Path(output).read_bytes() == shelf.plain.read_bytes()


# Pipes and signals


@pytest.mark.parametrize("line", [["inspect", "--json"], ["inspect"], ["decrypt", "-o", "-"]], ids=" ".join)
def test_a_reader_that_leaves_early_is_no_traceback(shelf: Shelf, line: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # it has left before the first byte
    done = run_cli(*line, shelf.archive, "--fragment-file", shelf.fragment, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("line", [["inspect", "--json"], ["inspect"], ["decrypt", "-o", "-"]], ids=" ".join)
def test_a_full_disk_behind_stdout_is_an_error_of_ours(shelf: Shelf, line: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run_cli(*line, shelf.archive, "--fragment-file", shelf.fragment, stdout=full)
    assert done.returncode == 5
    assert done.stderr.startswith(b"error: cannot write to stdout: No space left on device\nhint: ")
    assert len(done.stderr.splitlines()) == 2


def test_a_full_disk_behind_the_events_is_told_when_the_work_is_done(shelf: Shelf) -> None:
    line = ("decrypt", shelf.archive, "--fragment-file", shelf.fragment, "-o", shelf.out / "x")
    with Path("/dev/full").open("wb") as full:
        done = run_cli(*line, "--progress", "json", stdout=full)
    assert (done.returncode, shelf.left) == (5, ["x"])


@pytest.mark.parametrize(
    ("line", "closed", "code"),
    [
        (["decrypt", "-", "--fragment-file", "fragment", "-o", "out/x"], 0, 11),
        (["decrypt", "release.cbc", "--fragment-file", "-", "-o", "out/x"], 0, 4),
        (["decrypt", "release.cbc", "--fragment-file", "fragment", "-o", "-"], 1, 5),
    ],
)
def test_a_stream_that_is_closed_is_an_error_of_ours(
    shelf: Shelf, line: list[str], closed: int, code: int
) -> None:
    done = run_cli(*line, cwd=shelf.folder, preexec_fn=lambda: os.close(closed))
    assert done.returncode == code
    assert b"error: there is no std" in done.stderr
    assert shelf.left == []


def test_inspect_does_not_pass_over_what_does_not_open_a_cbc_archive(shelf: Shelf) -> None:
    done = run_cli("inspect", shelf.archive, "--identity", shelf.fragment)
    assert (done.returncode, done.stdout) == (3, b"")


def test_a_reader_that_leaves_in_the_middle_is_no_traceback(shelf: Shelf, tmp_path: Path) -> None:
    write_sparse_archive(tmp_path / "long", 50_000_000)
    with started(CLI, "decrypt", tmp_path / "long", "--fragment-file", shelf.fragment, "-o", "-") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 141


def test_interrupted_it_exits_130_and_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    write_sparse_archive(tmp_path / "long", 2 << 30)
    line = ("decrypt", tmp_path / "long", "--fragment-file", shelf.fragment, "-o", shelf.out / "x")
    with started(CLI, *line, "--progress", "json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["step"] == "decrypting"
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.stdout.read()
        assert process.wait(20) == 130
        assert time.monotonic() - began < 5
        assert process.stderr.read().split() == [b"interrupted"]
    assert shelf.left == []


def test_interrupted_while_it_waits_for_a_pipe_it_exits_130(shelf: Shelf) -> None:
    command = python(CLI, "decrypt", "-", "--fragment-file", shelf.fragment, "-o", shelf.out / "x")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=child_environment()
    ) as process:
        assert process.stdin is not None
        process.stdin.write(shelf.archive.read_bytes())
        process.stdin.flush()
        wait_until_it_sleeps(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert shelf.left == []


def wait_until_it_sleeps(pid: int) -> None:
    """Wait until a process has read what there is in its pipe and asks for more."""
    deadline = time.monotonic() + 20
    while "pipe" not in Path(f"/proc/{pid}/wchan").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
