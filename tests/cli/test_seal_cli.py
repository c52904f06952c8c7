"""``binary-split seal`` as a person and a script see it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from binary_split.errors import OutputError
from tests.archives import Sealed, decrypt
from tests.cli.conftest import image_options, pin_options
from tests.commandline import CommandLine, Ran

pytestmark = pytest.mark.slow  # each test runs the program


class Seal:
    """The sealing of one image tar, with options added."""

    def __init__(self, cli: CommandLine, sealed: Sealed, fragment_file: Path) -> None:
        self.cli = cli
        self.sealed = sealed
        self.output = cli.home / "out" / "x.cbc"
        self.output.parent.mkdir()
        self._fragment_file = fragment_file

    def arguments(self, *more: object, output: object = None) -> list[object]:
        origin = ["--from", f"docker-archive:{self.sealed.tar}", "--fragment-file", self._fragment_file]
        options = ["--version", "1.0.0", *image_options(self.sealed), *origin]
        return ["seal", "--format", "cbc", *options, "-o", output or self.output, *more]

    def __call__(self, *more: object, output: object = None) -> Ran:
        return self.cli.run(*self.arguments(*more, output=output))

    def written(self) -> list[str]:
        return sorted(path.name for path in self.output.parent.iterdir())


@pytest.fixture
def seal(cli: CommandLine, sealed: Sealed, fragment_file: Path) -> Seal:
    return Seal(cli, sealed, fragment_file)


def test_stdout_is_what_unlock_takes(seal: Seal, fragment_file: Path) -> None:
    ran = seal()
    assert ran.status == 0
    lines = ran.stdout.splitlines()
    assert lines == [f"--image-id {ref}={digest}" for ref, digest in seal.sealed.pins.items()]
    assert ran.stderr.startswith("sealed 2 images, ")
    options = [part for line in lines for part in line.split(" ")]
    engine = ["--engine", f"oci:{seal.cli.home / 'engine'}", "--fragment-file", fragment_file]
    assert seal.cli.run("unlock", seal.output, "--version", "1.0.0", *options, *engine).status == 0


def test_json_is_one_document(seal: Seal) -> None:
    document = seal("--json").document
    assert document == {
        "archive": str(seal.output),
        "format": "cbc",
        "version": "1.0.0",
        "plain_bytes": seal.sealed.tar.stat().st_size,
        "archive_bytes": seal.output.stat().st_size,
        "images": document["images"],
    }
    images = {row["ref"]: row["id"] for row in document["images"]}
    assert images == {str(ref): str(digest) for ref, digest in seal.sealed.pins.items()}
    assert {row["platform"].partition("/")[0] for row in document["images"]} == {"linux"}


def test_json_progress_ends_with_all_and_the_result(seal: Seal) -> None:
    *steps, result = seal("--progress", "json").events
    assert {event["step"] for event in steps} == {"sealing"}
    done = [event["done_bytes"] for event in steps]
    assert done == sorted(done)
    assert done[-1] == steps[-1]["total_bytes"] == result["plain_bytes"]


def test_an_archive_on_stdout_is_nothing_but_the_archive(seal: Seal) -> None:
    process = seal.cli.start(*seal.arguments(output="-"))
    content, words = process.communicate(timeout=60)
    assert process.returncode == 0
    plain = decrypt(content)
    assert plain[: -plain[-1]] == seal.sealed.tar.read_bytes()
    assert all(option in words.decode() for option in pin_options(seal.sealed))


def test_json_and_an_archive_on_the_same_stdout_are_refused(seal: Seal) -> None:
    for option in (["--json"], ["--progress", "json"]):
        ran = seal(*option, output="-")
        ran.assert_failed(3, "stdout")
        assert ran.stdout == ""


@pytest.mark.parametrize(
    "origin", ["nonsense", "docker-archive", "docker-archive:", "oci:", "oci", "podman:x"]
)
def test_a_source_that_there_is_not_is_3(seal: Seal, origin: str) -> None:
    seal("--from", origin).assert_failed(3)
    assert seal.written() == []


def test_an_absent_tar_is_11(seal: Seal) -> None:
    seal("--from", "docker-archive:/nowhere/x.tar").assert_failed(11, "/nowhere/x.tar")
    assert seal.written() == []


@pytest.mark.parametrize("content", [None, b"", bytes(65 * 1024)], ids=["absent", "empty", "too long"])
def test_a_fragment_file_that_cannot_be_one_is_4(seal: Seal, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad-fragment"
    if content is not None:
        path.write_bytes(content)
    seal("--fragment-file", path).assert_failed(4, str(path))
    assert seal.written() == []


def test_an_output_that_cannot_be_written_is_5(seal: Seal) -> None:
    seal(output="/proc/nowhere/x.cbc").assert_failed(OutputError.exit_code, "/proc/nowhere/x.cbc")
    seal(output=seal.output.parent).assert_failed(OutputError.exit_code, "folder")


def test_an_unsound_reference_is_51(seal: Seal) -> None:
    seal("--image", "azaion/UPPER").assert_failed(51, "azaion/UPPER")
    seal("--version", "not a tag").assert_failed(51)
    assert seal.written() == []


def test_sealing_again_replaces_the_archive_by_another_of_the_same_content(seal: Seal) -> None:
    seal()
    first = seal.output.read_bytes()
    seal()
    second = seal.output.read_bytes()
    assert first != second
    assert decrypt(first) == decrypt(second)
    assert seal.written() == ["x.cbc"]


def test_an_interrupt_leaves_no_archive_and_no_part_of_one(seal: Seal) -> None:
    pipe = seal.cli.home / "slow-fragment"
    os.mkfifo(pipe)
    seal.output.write_bytes(b"older")
    process = seal.cli.start(
        *seal.arguments("--fragment-file", pipe)
    )  # waits for a fragment that never comes
    with pipe.open("wb"):
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"Traceback" not in words
    assert seal.output.read_bytes() == b"older"
    assert seal.written() == ["x.cbc"]
