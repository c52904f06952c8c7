"""The Docker engine: found as Docker's own client finds it, and every failure of it is named."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from binary_split.config import LIMITS
from binary_split.engines import IdKind, open_engine
from binary_split.errors import (
    BinarySplitError,
    ConfigError,
    EngineAnswerError,
    EngineLoadError,
    EnginePermissionError,
    EngineTimeoutError,
    EngineUnreachableError,
    ImageMissingError,
)
from binary_split.model import ImageRef
from tests.archives import Sealed
from tests.canary import files_with
from tests.engines.conftest import Serve, wait_for_none
from tests.engines.scripted import Peer, say, swallow_and_say

REF = ImageRef.parse("contract/one:2.0.0")
CANARY = b"plaintext-canary-of-a-layer"


# Docker's library leaves a socket open where it cannot connect.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


@pytest.fixture(autouse=True)
def no_leak_is_blamed_on_others() -> Iterator[None]:
    """Collect what a test left open before the next one begins."""
    yield
    gc.collect()


def add_context(folder: Path, name: str, host: str) -> None:
    """Make a context as `docker context create` does."""
    meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    (meta / "meta.json").write_text(json.dumps(document))


@pytest.fixture
def docker_config(clean_docker_environment: None) -> Path:
    folder = Path(os.environ["DOCKER_CONFIG"])
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def hang(peer: Peer) -> None:
    peer.pause(10)


class TestFindingTheEngine:
    def test_by_docker_host(
        self, clean_docker_environment: None, fresh_device: PrivateDockerd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
        assert open_engine(None).describe().address == fresh_device.host

    def test_by_docker_context(
        self, docker_config: Path, fresh_device: PrivateDockerd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_context(docker_config, "device", fresh_device.host)
        monkeypatch.setenv("DOCKER_CONTEXT", "device")
        assert open_engine(None).describe().address == fresh_device.host

    def test_by_the_current_context(self, docker_config: Path, fresh_device: PrivateDockerd) -> None:
        add_context(docker_config, "device", fresh_device.host)
        (docker_config / "config.json").write_text('{"currentContext": "device"}')
        assert open_engine(None).describe().address == fresh_device.host

    def test_by_the_current_context_of_the_home_folder(
        self,
        clean_docker_environment: None,
        fresh_device: PrivateDockerd,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        monkeypatch.delenv("DOCKER_CONFIG")
        folder = tmp_path / ".docker"
        add_context(folder, "device", fresh_device.host)
        (folder / "config.json").write_text('{"currentContext": "device"}')
        assert open_engine(None).describe().address == fresh_device.host

    def test_docker_host_comes_before_any_context(
        self, docker_config: Path, fresh_device: PrivateDockerd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
        monkeypatch.setenv("DOCKER_CONTEXT", "absent")
        assert open_engine(None).describe().address == fresh_device.host

    def test_docker_context_comes_before_the_current_one(
        self, docker_config: Path, fresh_device: PrivateDockerd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_context(docker_config, "device", fresh_device.host)
        (docker_config / "config.json").write_text('{"currentContext": "absent"}')
        monkeypatch.setenv("DOCKER_CONTEXT", "device")
        assert open_engine(None).describe().address == fresh_device.host

    def test_an_unknown_context_is_a_wrong_setting(
        self, docker_config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_CONTEXT", "absent")
        with pytest.raises(ConfigError, match="absent"):
            open_engine(None)
        monkeypatch.delenv("DOCKER_CONTEXT")
        (docker_config / "config.json").write_text('{"currentContext": "gone"}')
        with pytest.raises(ConfigError):
            open_engine(None)

    @pytest.mark.parametrize("content", ["{", "[]", "{}", '{"Name": "device"}', '{"Endpoints": 5}'])
    def test_a_malformed_context_is_a_wrong_setting(
        self, docker_config: Path, monkeypatch: pytest.MonkeyPatch, content: str
    ) -> None:
        add_context(docker_config, "device", "unix:///nowhere")
        next(docker_config.rglob("meta.json")).write_text(content)
        monkeypatch.setenv("DOCKER_CONTEXT", "device")
        with pytest.raises(ConfigError, match="device"):
            open_engine(None)

    def test_contexts_of_the_working_folder_are_not_believed(
        self, clean_docker_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        add_context(tmp_path, "device", "unix:///nowhere")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("DOCKER_CONTEXT", "device")
        with pytest.raises(ConfigError, match="device"):
            open_engine(None)

    @pytest.mark.parametrize("host", ["nonsense://x", "unix://", "tcp://[::1", "::"])
    def test_a_malformed_docker_host_is_named_not_a_traceback(
        self, clean_docker_environment: None, monkeypatch: pytest.MonkeyPatch, host: str
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", host)
        with pytest.raises(BinarySplitError):
            open_engine(None)


class TestReaching:
    @pytest.mark.fault(40)
    def test_a_missing_socket_is_unreachable(
        self, clean_docker_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
        with pytest.raises(EngineUnreachableError):
            open_engine(None)

    @pytest.mark.fault(40)
    def test_a_socket_that_nobody_listens_on_is_unreachable(
        self, clean_docker_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        path = tmp_path / "left.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        with pytest.raises(EngineUnreachableError):
            open_engine(None)

    def test_a_closed_port_is_unreachable(
        self, clean_docker_environment: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
        with pytest.raises(EngineUnreachableError):
            open_engine(None)

    @pytest.mark.fault(40)
    def test_a_socket_of_others_is_not_permitted(self, scripted: Serve) -> None:
        engine = scripted({})
        engine.path.chmod(0o600)
        for folder in list(engine.path.parents)[:3]:  # nobody may come as far as the socket
            folder.chmod(folder.stat().st_mode | 0o011)
        code = textwrap.dedent("""
            import os
            from binary_split.engines import open_engine
            from binary_split.errors import BinarySplitError
            open_engine(None)  # what is imported by use may lie where nobody can read
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
            try:
                open_engine(None)
            except BinarySplitError as error:
                print(type(error).__name__)
        """)
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == EnginePermissionError.__name__

    @pytest.mark.fault(40)
    def test_an_engine_that_hangs_is_a_timeout(
        self, scripted: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "binary_split.engines.opening.LIMITS", dataclasses.replace(LIMITS, engine_greeting_timeout_s=1.0)
        )
        scripted({"GET /version": hang})
        begun = time.monotonic()
        with pytest.raises(EngineTimeoutError):
            open_engine(None)
        assert time.monotonic() - begun < 5

    @pytest.mark.fault(40)
    def test_an_engine_that_hangs_later_is_a_timeout(
        self, scripted: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "binary_split.engines.wire.LIMITS", dataclasses.replace(LIMITS, engine_ask_timeout_s=1.0)
        )
        scripted({f"GET /images/{REF}/json": hang})
        with pytest.raises(EngineTimeoutError):
            open_engine(None).find_image(REF)

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b"\xff", b""])
    def test_what_is_no_engine_at_all_is_named(self, scripted: Serve, body: bytes) -> None:
        scripted({"GET /version": say(body)})
        with pytest.raises(EngineAnswerError):
            open_engine(None)


class TestAnswersWithoutSense:
    @pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b"null", b'{"Id": 5, "RootFS": {}}', b"\xff"])
    def test_of_an_inspection(self, scripted: Serve, body: bytes) -> None:
        scripted({f"GET /images/{REF}/json": say(body)})
        with pytest.raises(EngineAnswerError):
            open_engine(None).find_image(REF)

    @pytest.mark.parametrize("layers", ["5", '["x"]', '"sha256"', "[5]"])
    def test_of_an_inspections_layers(self, scripted: Serve, layers: str) -> None:
        body = f'{{"Id": "sha256:{"0" * 64}", "RootFS": {{"Layers": {layers}}}}}'
        scripted({f"GET /images/{REF}/json": say(body.encode())})
        with pytest.raises(EngineAnswerError):
            open_engine(None).find_image(REF)

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b'{"DriverStatus": 5}', b"\xff"])
    def test_of_a_description(self, scripted: Serve, body: bytes) -> None:
        scripted({"GET /info": say(body)})
        with pytest.raises(EngineAnswerError):
            open_engine(None).describe()

    def test_an_error_of_the_engine_is_no_absent_image(self, scripted: Serve) -> None:
        body = b'{"message":"layer store is broken"}'
        scripted({f"GET /images/{REF}/json": say(body, status="500 Internal Server Error")})
        with pytest.raises(EngineAnswerError, match="layer store is broken"):
            open_engine(None).find_image(REF)

    def test_the_containerd_store_is_told_by_its_driver(self, scripted: Serve) -> None:
        status = [["driver-type", "io.containerd.snapshotter.v1"]]
        facts = {"ServerVersion": "28.5.2", "Driver": "overlayfs", "DriverStatus": status}
        scripted({"GET /info": say(json.dumps(facts).encode())})
        description = open_engine(None).describe()
        assert (description.store, description.id_kind) == ("containerd", IdKind.MANIFEST)


class TestLoading:
    @pytest.mark.fault(45)
    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (b'{"errorDetail":{"message":"no space left"},"error":"no space left"}', "no space left"),
            (b'{"stream":"Loaded image: x:1"}\r\n{"errorDetail":{"message":"it broke"}}', "it broke"),
            (b'{"error":"only the old field"}', "only the old field"),
            (b'{"stream":"Loaded image: x\\n"}\n{"stream":"Error unpacking image x: EOF\\n"}', "EOF"),
            (b"Error unpacking image x: not even JSON", "not even JSON"),
            (b'{"errorDetail":null}', "could not load"),
        ],
    )
    def test_a_failure_inside_a_200_is_a_failure(self, scripted: Serve, answer: bytes, words: str) -> None:
        scripted({"POST /images/load": swallow_and_say(answer)})
        with pytest.raises(EngineLoadError, match=words):
            open_engine(None).load([b"x" * 1000])

    @pytest.mark.parametrize("answer", [b"", b'{"stream":"Loaded image: x:1"}', b"plain words", b"[1]\n5\n"])
    def test_any_other_200_is_no_failure(self, scripted: Serve, answer: bytes) -> None:
        engine = scripted({"POST /images/load": swallow_and_say(answer)})
        open_engine(None).load([b"x" * 1000])
        assert "POST /images/load" in engine.requests

    @pytest.mark.parametrize("is_drained", [False, True], ids=["closes at once", "reads a little"])
    def test_the_words_of_an_engine_that_refuses_early_are_in_the_error(
        self, scripted: Serve, is_drained: bool
    ) -> None:
        def refuse(peer: Peer) -> None:
            if is_drained:
                peer.pause(0.3)
            peer.answer(b'{"message":"disk quota exceeded"}', status="500 Internal Server Error")

        scripted({"POST /images/load": refuse})
        with pytest.raises(EngineLoadError, match="disk quota exceeded"):
            open_engine(None).load(bytes(1 << 16) for _ in range(400))

    def test_an_engine_that_dies_while_we_send_is_a_failed_load(self, scripted: Serve) -> None:
        scripted({"POST /images/load": lambda peer: None})
        with pytest.raises(EngineLoadError):
            open_engine(None).load(bytes(1 << 16) for _ in range(400))

    def test_an_engine_that_dies_in_its_answer_is_a_failed_load(self, scripted: Serve) -> None:
        def die(peer: Peer) -> None:
            peer.read_body()
            peer.answer(b'{"stream":"Loading"}\n', length=5000)

        scripted({"POST /images/load": die})
        with pytest.raises(EngineLoadError):
            open_engine(None).load([b"x" * 1000])

    def test_an_endless_error_is_quoted_bounded(self, scripted: Serve) -> None:
        scripted({"POST /images/load": say(b"y" * 5_000_000, status="500 Oops")})
        with pytest.raises(EngineLoadError) as caught:
            open_engine(None).load([b"x"])
        assert len(str(caught.value)) < 2000

    def test_a_line_without_end_is_not_kept_in_memory(self, scripted: Serve) -> None:
        sent = 0

        def pour(peer: Peer) -> None:
            nonlocal sent
            peer.read_body()
            peer.answer(b"", length=1 << 40)
            while sent < 64 << 20 and not peer.pause(0):
                peer.send(b"z" * (1 << 20))
                sent += 1 << 20

        scripted({"POST /images/load": pour})
        with pytest.raises(EngineAnswerError):
            open_engine(None).load([b"x"])
        assert sent < 16 << 20


class TestSaving:
    def test_an_engine_that_dies_in_mid_save_is_named(self, scripted: Serve) -> None:
        image = {"Id": f"sha256:{'0' * 64}", "RootFS": {"Layers": []}}
        scripted(
            {
                f"GET /images/{REF}/json": say(json.dumps(image).encode()),
                "GET /images/get": lambda peer: peer.answer(bytes(1 << 20), length=5 << 20),
            }
        )
        received: list[int] = []
        with pytest.raises(EngineLoadError):
            received.extend(map(len, open_engine(None).save([REF])))
        assert sum(received) <= 1 << 20

    def test_a_refused_save_quotes_the_engine(self, scripted: Serve) -> None:
        image = {"Id": f"sha256:{'0' * 64}", "RootFS": {"Layers": []}}
        scripted(
            {
                f"GET /images/{REF}/json": say(json.dumps(image).encode()),
                "GET /images/get": say(b'{"message":"no such layer"}', status="500 Oops"),
            }
        )
        with pytest.raises(EngineLoadError, match="no such layer"):
            list(open_engine(None).save([REF]))

    def test_an_absent_image_is_missing_and_nothing_is_exported(self, scripted: Serve) -> None:
        engine = scripted({})
        with pytest.raises(ImageMissingError, match=str(REF)):
            list(open_engine(None).save([REF]))
        assert "GET /images/get" not in engine.requests


@pytest.mark.fault(48)
def test_an_aborted_load_leaves_no_plaintext_in_the_engines_folder(
    fresh_device: PrivateDockerd, monkeypatch: pytest.MonkeyPatch, release: Sealed
) -> None:
    monkeypatch.setenv("DOCKER_HOST", fresh_device.host)
    content = release.tar.read_bytes()

    def abort() -> Iterator[bytes]:
        yield content[:1_000_000].replace(content[3000 : 3000 + len(CANARY)], CANARY)
        yield from (content[start : start + 65536] for start in range(1_000_000, 1_400_000, 65536))
        raise InterruptedError

    with pytest.raises(InterruptedError):
        open_engine(None).load(abort())
    spool = fresh_device.data_root / "tmp"
    assert wait_for_none(lambda: list(map(str, files_with([CANARY], spool)))) == []
    assert wait_for_none(lambda: [str(path) for path in fresh_device.leftovers()]) == []
    assert fresh_device.ask("GET", "/images/json?all=1") == []
