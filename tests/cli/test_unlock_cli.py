"""``binary-split unlock`` and ``check`` as a person and a script see them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from bed.fault_server import FaultServer, answer
from binary_split.model import Digest
from tests.archives import FRAGMENT, Sealed, flip_bit, make_sealed
from tests.cli.conftest import NAMES, image_options, pin_options
from tests.commandline import CommandLine, Ran
from tests.engines.conftest import wait_for_none
from tests.engines.scripted import Peer, ScriptedEngine

pytestmark = pytest.mark.slow  # each test runs the program

OTHER_ID = f"sha256:{'0' * 64}"


class Unlock:
    """The unlock of one archive into an OCI folder, with options added or left out."""

    def __init__(self, cli: CommandLine, sealed: Sealed, fragment_file: Path) -> None:
        self.cli = cli
        self.sealed = sealed
        self.fragment_file = fragment_file
        self.folder = cli.home / "engine"

    def arguments(self, *more: object, archive: Path | None = None, pinned: bool = True) -> list[object]:
        pins = pin_options(self.sealed) if pinned else image_options(self.sealed)
        return ["unlock", archive or self.sealed.path, "--version", "1.0.0", *pins, *more]

    def __call__(self, *more: object, archive: Path | None = None, pinned: bool = True) -> Ran:
        options = ["--engine", f"oci:{self.folder}", "--fragment-file", self.fragment_file, *more]
        return self.cli.run(*self.arguments(*options, archive=archive, pinned=pinned))

    def check(self, *more: object) -> Ran:
        options = ["--version", "1.0.0", "--engine", f"oci:{self.folder}"]
        return self.cli.run("check", *options, *pin_options(self.sealed), *more)

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def unlock(cli: CommandLine, sealed: Sealed, fragment_file: Path) -> Unlock:
    return Unlock(cli, sealed, fragment_file)


class TestSuccess:
    def test_says_so_on_stderr_and_nothing_on_stdout(self, unlock: Unlock) -> None:
        ran = unlock()
        assert (ran.status, ran.stdout) == (0, "")
        assert re.fullmatch(r"ready: 2 of 2 images loaded \(.* KiB\), all verified\n", ran.stderr), ran

    def test_a_second_time_says_that_nothing_was_loaded(self, unlock: Unlock) -> None:
        unlock()
        ran = unlock()
        assert (ran.status, ran.stdout) == (0, "")
        assert ran.stderr == "ready: all 2 images are there already, nothing was loaded\n"

    def test_json_is_one_document(self, unlock: Unlock) -> None:
        document = unlock("--json").document
        images = {row["ref"]: row["id"] for row in document["images"]}
        assert images == {str(ref): str(digest) for ref, digest in unlock.sealed.pins.items()}
        assert sorted(document["loaded"]) == sorted(images)
        assert (document["version"], document["state"]) == ("1.0.0", "ready")
        assert document["sent_bytes"] > 100_000
        again = unlock("--json").document
        assert (again["loaded"], again["sent_bytes"]) == ([], 0)

    def test_unauthenticated_warns(self, unlock: Unlock) -> None:
        ran = unlock("--allow-unauthenticated", pinned=False)
        assert ran.status == 0
        assert "warning: --allow-unauthenticated" in ran.stderr

    def test_pins_come_from_the_configuration_file(self, unlock: Unlock) -> None:
        config = unlock.cli.home / "config.toml"
        rows = [f'"{ref}" = "{digest}"' for ref, digest in unlock.sealed.pins.items()]
        config.write_text(f'engine = "oci:{unlock.folder}"\n[image_ids]\n' + "\n".join(rows))
        cli = unlock.cli.with_environment(BINARY_SPLIT_CONFIG=str(config))
        arguments = ["--version", "1.0.0", "--fragment-file", unlock.fragment_file]
        assert cli.run("unlock", unlock.sealed.path, *arguments).status == 0
        assert cli.run("check", "--version", "1.0.0").status == 0
        config.write_text(
            "[image_ids]\n" + "\n".join([f'"{unlock.sealed.images[0]}" = "{OTHER_ID}"', *rows[1:]])
        )
        refused = cli.run("unlock", unlock.sealed.path, *arguments, "--engine", f"oci:{cli.home / 'new'}")
        refused.assert_failed(53, OTHER_ID)

    def test_the_fragment_may_come_by_stdin(self, unlock: Unlock) -> None:
        options = ["--engine", f"oci:{unlock.folder}", "--fragment-file", "-"]
        assert unlock.cli.run(*unlock.arguments(*options), stdin=FRAGMENT).status == 0

    def test_no_temporary_file_is_left(self, unlock: Unlock) -> None:
        unlock()
        assert list(unlock.cli.temporary.iterdir()) == []


class TestRefusals:
    def test_no_pins_is_14_with_both_ways_out(self, unlock: Unlock) -> None:
        ran = unlock(pinned=False)
        ran.assert_failed(14, "azaion/flights:1.0.0", "--image-id", "--allow-unauthenticated")
        assert unlock.files() == []

    def test_a_pin_for_one_image_only_is_14_for_the_other(self, unlock: Unlock) -> None:
        ref, digest = next(iter(unlock.sealed.pins.items()))
        ran = unlock("--image-id", f"{ref}={digest}", pinned=False)
        ran.assert_failed(14, "azaion/autopilot:1.0.0")

    @pytest.mark.fault(7)
    def test_a_wrong_fragment_and_damage_are_12(self, unlock: Unlock, tmp_path: Path) -> None:
        wrong = tmp_path / "wrong"
        wrong.write_bytes(FRAGMENT + b"\n")
        unlock("--fragment-file", wrong).assert_failed(12, "wrong fragment or damaged archive")
        damaged = tmp_path / "damaged.cbc"
        damaged.write_bytes(flip_bit(unlock.sealed.path.read_bytes(), 60_000))
        unlock(archive=damaged).assert_failed(12, "wrong fragment or damaged archive")
        assert unlock.files() == []
        assert unlock().status == 0

    def test_an_absent_archive_is_11(self, unlock: Unlock) -> None:
        unlock(archive=Path("/nowhere/x.cbc")).assert_failed(11, "/nowhere/x.cbc")

    def test_another_image_than_pinned_is_53(self, unlock: Unlock) -> None:
        pins = dict.fromkeys(unlock.sealed.images, Digest("0" * 64))
        other = Sealed(unlock.sealed.tar, unlock.sealed.path, pins)
        ran = Unlock(unlock.cli, other, unlock.fragment_file)()
        ran.assert_failed(53, OTHER_ID)
        assert unlock.files() == []

    def test_another_release_is_52(self, unlock: Unlock, tmp_path: Path) -> None:
        other = make_sealed(tmp_path / "other", "2.0.0", NAMES)
        unlock(archive=other.path).assert_failed(52, "azaion/flights:1.0.0")

    @pytest.mark.parametrize("engine", ["nonsense", "oci:", "oci", "podman:x", ""])
    def test_an_engine_that_there_is_not_is_3(self, unlock: Unlock, engine: str) -> None:
        ran = unlock.cli.with_environment(DOCKER_HOST="unix:///nowhere.sock").run(
            *unlock.arguments("--fragment-file", unlock.fragment_file, "--engine", engine)
        )
        if engine:
            ran.assert_failed(3, "no such engine", "docker", "oci:DIR")
        else:
            ran.assert_failed(42)  # empty is not given: the default, which does not answer here

    @pytest.mark.fault(40)
    def test_an_engine_that_does_not_answer_is_42(self, unlock: Unlock) -> None:
        cli = unlock.cli.with_environment(DOCKER_HOST="unix:///nowhere.sock")
        cli.run(*unlock.arguments("--fragment-file", unlock.fragment_file)).assert_failed(42)

    def test_no_key_service_is_3(self, unlock: Unlock) -> None:
        ran = unlock.cli.run(*unlock.arguments("--engine", f"oci:{unlock.folder}"))
        ran.assert_failed(3, "--key-service")

    def test_no_token_is_3_and_nobody_is_asked(self, unlock: Unlock) -> None:
        with FaultServer(answer("200 OK")) as server:
            options = ["--engine", f"oci:{unlock.folder}", "--key-service", server.url()]
            unlock.cli.run(*unlock.arguments(*options)).assert_failed(3, "--token-file")
            assert server.connections == 0

    def test_an_absent_token_file_is_4(self, unlock: Unlock) -> None:
        options = ["--engine", f"oci:{unlock.folder}", "--key-service", "https://localhost:1"]
        ran = unlock.cli.run(*unlock.arguments(*options, "--token-file", "/nowhere/token"))
        ran.assert_failed(4, "/nowhere/token")

    def test_an_image_id_that_is_none_is_51(self, unlock: Unlock) -> None:
        unlock("--image-id", "azaion/flights=sha256:12").assert_failed(51)
        unlock("--image-id", "azaion/flights").assert_failed(3, "REF=sha256:")

    def test_a_missing_argument_is_2(self, cli: CommandLine) -> None:
        ran = cli.run("unlock", "--version", "1.0.0")
        assert ran.status == 2
        assert "ARCHIVE" in ran.stderr
        assert "Traceback" not in ran.stderr

    def test_a_cbc_archive_without_a_version_is_3(self, unlock: Unlock) -> None:
        options = ["--engine", f"oci:{unlock.folder}", "--fragment-file", unlock.fragment_file]
        unlock.cli.run("unlock", unlock.sealed.path, *options).assert_failed(3, "--version")
        assert unlock.files() == []

    def test_an_absent_archive_without_a_version_is_11(self, cli: CommandLine) -> None:
        cli.run("unlock", "absent.age").assert_failed(11, "absent.age")


class TestJsonProgress:
    def test_each_line_is_json_and_the_steps_are_in_order(self, unlock: Unlock) -> None:
        events = unlock("--progress", "json").events
        steps = list(dict.fromkeys(event["step"] for event in events))
        assert steps == [
            "checking",
            "authenticating",
            "downloading_key",
            "decrypting",
            "loading_images",
            "verifying",
            "ready",
        ]
        loading = [event for event in events if event["step"] == "loading_images" and event["total_bytes"]]
        done = [event["done_bytes"] for event in loading]
        assert done == sorted(done)
        assert done[-1] == loading[-1]["total_bytes"] > 100_000
        assert all(event["event"] == "progress" for event in events)
        elapsed = [event["elapsed_s"] for event in events]
        assert elapsed == sorted(elapsed)

    def test_an_error_is_the_last_line(self, unlock: Unlock, tmp_path: Path) -> None:
        damaged = tmp_path / "damaged.cbc"
        damaged.write_bytes(flip_bit(unlock.sealed.path.read_bytes(), 60_000))
        ran = unlock("--progress", "json", archive=damaged)
        ran.assert_failed(12)
        last = ran.events[-1]
        assert last == {
            "event": "error",
            "code": "archive-damaged",
            "message": "wrong fragment or damaged archive",
            "hint": last["hint"],
            "exit_code": 12,
            "retryable": False,
        }

    def test_with_json_the_result_is_the_last_line(self, unlock: Unlock) -> None:
        last = unlock("--progress", "json", "--json").events[-1]
        assert last["state"] == "ready"


class TestCheck:
    def test_says_missing_present_and_other(self, unlock: Unlock) -> None:
        missing = unlock.check()
        missing.assert_failed(52, "azaion/flights:1.0.0")
        assert [line.split() for line in missing.stdout.splitlines()] == [
            ["missing", str(ref)] for ref in unlock.sealed.images
        ]
        unlock()
        present = unlock.check()
        assert (present.status, present.stderr) == (0, "")
        assert [line.split() for line in present.stdout.splitlines()] == [
            ["present", str(ref), str(digest)] for ref, digest in unlock.sealed.pins.items()
        ]

    def test_another_image_is_53(self, unlock: Unlock, tmp_path: Path) -> None:
        other = make_sealed(tmp_path / "other", "1.0.0", NAMES, seed=3)
        Unlock(unlock.cli, other, unlock.fragment_file)()
        ran = unlock.check("--json")
        ran.assert_failed(53, "azaion/flights:1.0.0")
        assert {row["status"] for row in ran.document["images"]} == {"other"}
        assert ran.document["complete"] is False

    def test_without_pins_the_names_are_enough(self, unlock: Unlock) -> None:
        unlock()
        options = ["check", "--version", "1.0.0", "--engine", f"oci:{unlock.folder}", "--json"]
        ran = unlock.cli.run(*options, *image_options(unlock.sealed))
        assert ran.status == 0
        assert ran.document["complete"] is True
        all_seven = unlock.cli.run(*options)
        all_seven.assert_failed(52, "azaion/ai-training:1.0.0")
        assert [row["status"] for row in all_seven.document["images"]].count("missing") == 5


@contextmanager
def slow_engine(path: Path, *, pause_s: float) -> Iterator[ScriptedEngine]:
    """An engine that takes a load slowly; it never has an image."""

    def load(peer: Peer) -> None:
        while peer.receive(64 * 1024) and not peer.pause(pause_s):
            pass

    info = b'{"ServerVersion": "20.10.24", "Driver": "overlay2"}'
    with ScriptedEngine(
        path,
        {
            "POST /images/load": load,
            "GET /info": lambda peer: peer.answer(info),
            "GET /images/json": lambda peer: peer.answer(b"[]"),
        },
    ) as engine:
        yield engine


@pytest.fixture(scope="session")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    return make_sealed(tmp_path_factory.mktemp("larger"), "1.0.0", NAMES, filler_bytes=40_000_000)


class TestOnATerminal:
    def test_a_bar_shows_bytes_rate_and_rest_and_leaves_the_terminal_clean(
        self, cli: CommandLine, fragment_file: Path, tmp_path: Path
    ) -> None:
        larger = make_sealed(tmp_path / "larger", "1.0.0", NAMES, filler_bytes=12_000_000)
        options = ["--fragment-file", fragment_file, *pin_options(larger)]
        with slow_engine(tmp_path / "e.sock", pause_s=0.02) as engine:
            here = cli.with_environment(DOCKER_HOST=f"unix://{engine.path}")
            screen = Screen()
            arguments = ["unlock", larger.path, "--version", "1.0.0", *options]
            process = here.start(*arguments, stderr=screen.terminal, stdout=subprocess.DEVNULL)
            shown = screen.read_until_end_of(process)
        assert process.returncode == 45  # the scripted engine takes all and answers nothing
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
        assert re.search(r"loading images.* MiB.* [KM]?B/s .*0:0\d:\d\d|loading images.*MiB.*B/s", text), text
        assert re.search(r"\d+\.\d/23\.\d MiB", text), text
        assert re.search(r"0:00:\d\d", text), text
        assert "\x1b[?25l" not in shown, "the cursor was hidden: a killed program leaves it so"
        last = shown.rindex("\x1b[2K")
        assert "MiB" not in shown[last:], "the bar was left on the screen"
        assert "error: " in text[text.rindex("\r") :] or "error: " in text.splitlines()[-2], text

    def test_where_stderr_is_no_terminal_there_is_no_bar(self, unlock: Unlock) -> None:
        assert "\x1b" not in unlock().stderr


class Screen:
    """A pseudo-terminal and what was written to it."""

    def __init__(self) -> None:
        self._ours, self.terminal = pty.openpty()
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def read_until_end_of(self, process: subprocess.Popen[bytes]) -> str:
        os.close(self.terminal)
        content = bytearray()
        try:
            while part := os.read(self._ours, 65536):
                content += part
        except OSError:  # EIO: nobody has the terminal open any more
            pass
        process.wait(30)
        os.close(self._ours)
        return content.decode()


class TestInterrupt:
    def test_ctrl_c_exits_130_at_once_and_leaves_no_image(
        self, cli: CommandLine, larger: Sealed, fragment_file: Path, fresh_device: PrivateDockerd
    ) -> None:
        here = cli.with_environment(DOCKER_HOST=fresh_device.host)
        options = ["--fragment-file", fragment_file, "--progress", "json", *pin_options(larger)]
        process = here.start("unlock", larger.path, "--version", "1.0.0", *options)
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if json.loads(line)["done_bytes"]:
                break
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest, words = process.communicate(timeout=20)
        assert time.monotonic() - begun < 2
        assert (process.returncode, words.decode().strip()) == (130, "interrupted")
        assert not any(json.loads(line)["step"] == "ready" for line in rest.splitlines())
        assert not set(fresh_device.image_ids()) & {str(ref) for ref in larger.images}
        assert wait_for_none(lambda: [str(left) for left in fresh_device.leftovers()]) == []
        # What the engine had whole before the interrupt may come late, under a staging name.
        assert here.run("check", "--version", "1.0.0", *pin_options(larger)).status == 52
        assert fresh_device.ask("GET", "/images/json?all=1") == []
        assert here.run("unlock", larger.path, "--version", "1.0.0", *options).status == 0
        assert len(fresh_device.image_ids()) == len(NAMES)

    def test_a_folder_engine_is_left_as_it_was(self, unlock: Unlock, larger: Sealed) -> None:
        options = ["--engine", f"oci:{unlock.folder}", "--fragment-file", unlock.fragment_file]
        arguments = ["unlock", larger.path, "--version", "1.0.0", *pin_options(larger), *options]
        process = unlock.cli.start(*arguments, "--progress", "json")
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["done_bytes"]:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 130
        assert {path.name for path in unlock.files()} <= {"index.json", "oci-layout"}  # of an empty layout


@pytest.mark.fault(50)
@pytest.mark.parametrize("reads_first", [False, True], ids=["at once", "in the middle"])
@pytest.mark.parametrize("more", [[], ["--json"]], ids=["progress", "progress and result"])
def test_a_progress_reader_that_goes_away_changes_nothing(
    unlock: Unlock, more: list[str], reads_first: bool
) -> None:
    read_end, write_end = os.pipe()
    options = ["--engine", f"oci:{unlock.folder}", "--fragment-file", unlock.fragment_file, *more]
    process = unlock.cli.start(*unlock.arguments(*options, "--progress", "json"), stdout=write_end)
    os.close(write_end)
    if reads_first:
        assert os.read(read_end, 10)
    os.close(read_end)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"Traceback" not in words
    assert b"Exception" not in words
    assert unlock.check().status == 0


@pytest.mark.fault(50)
def test_a_progress_reader_that_goes_away_does_not_change_how_a_failure_ends(
    unlock: Unlock, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.cbc"
    damaged.write_bytes(flip_bit(unlock.sealed.path.read_bytes(), 60_000))
    options = ["--engine", f"oci:{unlock.folder}", "--fragment-file", unlock.fragment_file]
    arguments = unlock.arguments(*options, "--progress", "json", archive=damaged)
    process = unlock.cli.start(*arguments)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, words = process.communicate(timeout=30)
    assert process.returncode == 12
    assert words.decode().startswith("error: ")
