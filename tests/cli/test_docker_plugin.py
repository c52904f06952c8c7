"""``docker unlock``, by the docker programs that are installed here and on a real engine."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bed.certs import make_authority, make_leaf
from bed.dockerd import PrivateDockerd
from binary_split.cli.docker_signals import _InterruptOnce, end_with_docker
from tests.archives import FRAGMENT
from tests.commandline import CommandLine, Ran
from tests.engines.conftest import stopped, wait_for_none
from tests.releases import KEY, AgeRelease, make_age_release

pytestmark = pytest.mark.slow  # each test runs programs

PROGRAM = Path(sys.executable).parent / "docker-unlock"
# Every docker that is installed: on Debian its own, 20.10, and perhaps a newer one before it on PATH.
CLIENTS = sorted(
    {
        str(Path(found).resolve())
        for path in (None, "/usr/bin", "/usr/local/bin")
        if (found := shutil.which("docker", path=path))
    }
) or ["docker"]


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> AgeRelease:
    folder = tmp_path_factory.mktemp("docker-unlock")
    (folder / "fragment").write_bytes(FRAGMENT)
    (folder / "publisher.pub").write_bytes(KEY.public_key.serialise())
    return make_age_release(folder)


@dataclass
class Docker:
    """One docker program whose folder of settings is a temporary one, with our plugin installed."""

    program: str
    cli: CommandLine
    release: AgeRelease

    @property
    def config(self) -> Path:
        return self.cli.home / "docker-config"

    @property
    def opener(self) -> list[str]:
        folder = self.release.path.parent
        return ["--fragment-file", str(folder / "fragment"), "--trusted-key", str(folder / "publisher.pub")]

    @property
    def is_old(self) -> bool:
        """Whether it neither completes a plugin's words nor has a socket for plugins: before Docker 25."""
        said = subprocess.check_output([self.program, "--version"], text=True)
        return int(said.removeprefix("Docker version ").partition(".")[0]) < 25

    def environment(self, **more: str) -> dict[str, str]:
        return {**self.cli.whole_environment(), "DOCKER_CONFIG": str(self.config), **more}

    def run(self, *words: str | Path, **environment: str) -> Ran:
        done = subprocess.run(
            [self.program, *map(str, words)],
            env=self.environment(**environment),
            capture_output=True,
            cwd=self.cli.home,
            timeout=90,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def unlock(self, *flags: str | Path, more: tuple[str, ...] = (), **environment: str) -> Ran:
        return self.run(*flags, "unlock", self.release.path, *self.opener, *more, **environment)

    def context(self, name: str, host: str, *flags: str | Path) -> None:
        made = self.run(*flags, "context", "create", name, "--docker", f"host={host}")
        assert made.status == 0, made


@pytest.fixture(params=CLIENTS)
def docker(
    request: pytest.FixtureRequest, cli: CommandLine, release: AgeRelease, program: Callable[[str], Path]
) -> Docker:
    program("docker")
    docker = Docker(request.param, cli, release)
    installed = cli.with_environment(DOCKER_CONFIG=str(docker.config)).run("docker-plugin", "install")
    assert installed.status == 0, installed
    return docker


def image_names(release: AgeRelease) -> set[str]:
    return {str(ref) for ref in release.images}


class TestUnlock:
    def test_the_flag_host_says_which_engine(self, docker: Docker, fresh_device: PrivateDockerd) -> None:
        ran = docker.unlock("-H", fresh_device.host)
        assert (ran.status, ran.stdout) == (0, ""), ran
        assert "all verified" in ran.stderr
        assert set(fresh_device.image_ids()) == image_names(docker.release)
        again = docker.unlock(f"--host={fresh_device.host}", more=("--json",), DOCKER_HOST="unix:///nowhere")
        assert again.document["loaded"] == []

    def test_a_context_by_flag_by_variable_and_in_use(
        self, docker: Docker, fresh_device: PrivateDockerd
    ) -> None:
        docker.context("device", fresh_device.host)
        docker.context("nowhere", "unix:///nowhere.sock")
        (docker.config / "config.json").write_text("{}")
        assert docker.unlock("--context", "device", DOCKER_HOST="unix:///nowhere").status == 0
        assert set(fresh_device.image_ids()) == image_names(docker.release)
        assert docker.unlock("-c", "device").status == 0
        assert docker.unlock("-c", "nowhere").status == 42
        assert docker.unlock(DOCKER_CONTEXT="device").status == 0
        assert docker.run("context", "use", "device").status == 0
        assert docker.unlock().status == 0
        assert docker.unlock("--context=default", DOCKER_HOST="unix:///nowhere").status == 42

    def test_the_flag_config_says_where_contexts_are(
        self, docker: Docker, fresh_device: PrivateDockerd, tmp_path: Path
    ) -> None:
        other = tmp_path / "other"
        shutil.copytree(docker.config, other, symlinks=True)
        docker.context("device", fresh_device.host, "--config", other)
        assert docker.run("--config", other, "context", "use", "device").status == 0
        assert docker.unlock("--config", "../other").status == 0
        unknown = docker.unlock("--context", "device")
        assert unknown.status == (1 if docker.is_old else 3), unknown  # an old docker looks itself
        assert "device" in unknown.stderr

    def test_exit_codes_and_messages_pass_through(
        self, docker: Docker, fresh_device: PrivateDockerd, tmp_path: Path
    ) -> None:
        docker.unlock("-H", "unix:///nowhere.sock").assert_failed(42)
        wrong = tmp_path / "wrong"
        wrong.write_bytes(bytes(32))
        ran = docker.unlock("-H", fresh_device.host, more=("--fragment-file", str(wrong)))
        ran.assert_failed(12, "wrong fragment or damaged archive")
        usage = docker.run("unlock")
        assert (usage.status, usage.stdout) == (2, "")
        assert "Usage: docker unlock [OPTIONS] ARCHIVE" in usage.stderr

    def test_a_configured_engine_does_not_count_and_an_option_does(self, docker: Docker) -> None:
        folder = docker.cli.home / "engine"
        elsewhere = docker.unlock("-H", "unix:///nowhere", BINARY_SPLIT_ENGINE=f"oci:{folder}")
        elsewhere.assert_failed(42)
        assert docker.unlock(more=("--engine", f"oci:{folder}")).status == 0
        assert (folder / "index.json").exists()

    def test_progress_for_programs_is_on_stdout_alone(
        self, docker: Docker, fresh_device: PrivateDockerd
    ) -> None:
        ran = docker.unlock("-D", "-l", "error", "-H", fresh_device.host, more=("--progress", "json"))
        assert ran.events[-1]["step"] == "ready"

    def test_progress_for_people_is_on_their_terminal(
        self, docker: Docker, fresh_device: PrivateDockerd
    ) -> None:
        ours, theirs = pty.openpty()
        command = [docker.program, "-H", fresh_device.host, "unlock", str(docker.release.path)]
        process = subprocess.Popen(
            [*command, *docker.opener], env=docker.environment(), stderr=theirs, stdout=theirs, stdin=theirs
        )
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # nobody has it open any more
            pass
        os.close(ours)
        assert process.wait(30) == 0
        assert b"\x1b[" in shown
        assert b"all verified" in shown
        assert b"\x1b[?25l" not in shown


@contextmanager
def tls_door(engine: PrivateDockerd, context: ssl.SSLContext) -> Iterator[int]:
    """Let an engine be reached by TLS on loopback; give the port."""

    class Door(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as outer,
                socket.socket(socket.AF_UNIX) as inner,
            ):
                inner.connect(engine.host.removeprefix("unix://"))
                back = threading.Thread(target=pump, args=(inner, outer), daemon=True)
                back.start()
                pump(outer, inner)
                back.join(10)

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)
            sink.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Door) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class TestTls:
    def test_files_of_any_name_prove_both_sides(
        self, docker: Docker, fresh_device: PrivateDockerd, tmp_path: Path
    ) -> None:
        authority = make_authority()
        server, client = make_leaf(authority), make_leaf(authority)
        trusted = authority.write_certificate(tmp_path / "company-ca.crt")
        context = server.server_context(tmp_path)
        context.load_verify_locations(trusted)
        context.verify_mode = ssl.CERT_REQUIRED
        (tmp_path / "me.crt").write_bytes(client.certificate_pem)
        (tmp_path / "me.key").write_bytes(client.key_pem)
        other = make_authority("Other CA").write_certificate(tmp_path / "other.crt")
        with tls_door(fresh_device, context) as port:
            flags = ["-H", f"tcp://localhost:{port}", f"--tlscert={tmp_path}/me.crt", "--tlskey", "../me.key"]
            ran = docker.unlock(*flags, "--tlsverify", "--tlscacert", trusted)
            assert ran.status == 0, ran
            assert set(fresh_device.image_ids()) == image_names(docker.release)
            stranger = docker.unlock(*flags, "--tls", "--tlscacert", other)
            assert stranger.status != 0
            assert "certificate" in stranger.stderr
        assert list(docker.cli.temporary.iterdir()) == []


class TestWhatDockerAsks:
    def test_docker_lists_it_among_its_commands(self, docker: Docker) -> None:
        assert "unlock*" in docker.run("--help").stdout
        plugins = json.loads(docker.run("info", "--format", "{{json .ClientInfo.Plugins}}").stdout)
        (ours,) = [plugin for plugin in plugins if plugin["Name"] == "unlock"]
        assert (ours["SchemaVersion"], ours["Vendor"]) == ("0.1.0", "binary-split")
        assert "Err" not in ours

    @pytest.mark.parametrize(
        "words",
        [["unlock", "--help"], ["help", "unlock"], ["--help", "unlock"], ["unlock", "-h"]],
        ids=" ".join,
    )
    def test_help_is_that_of_the_command(self, docker: Docker, words: list[str]) -> None:
        ran = docker.run(*words)
        assert (ran.status, ran.stderr) == (0, "")
        assert ran.stdout.startswith("Usage: docker unlock [OPTIONS] ARCHIVE")
        assert "--trusted-key" in ran.stdout

    def test_options_are_completed_and_archives_left_to_the_shell(self, docker: Docker) -> None:
        ran = docker.run("__complete", "unlock", "--trusted")
        assert ran.status == 0
        words = [line.split("\t")[0] for line in ran.stdout.splitlines()]
        if docker.is_old:
            assert words == [":4"]  # it does not ask a plugin
            return
        assert words == ["--trusted-key", "--trusted-keys", ":4"]
        assert docker.run("__complete", "unlock", "rel").stdout == ":0\n"
        assert docker.run("__complete", "unlock", "--nonsense", "").status == 0


class TestTheProgram:
    def run(self, *words: str) -> Ran:
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    def test_by_hand_it_says_what_it_is_for(self) -> None:
        for words in ([], ["release.age"], ["-D", "load"]):
            ran = self.run(*words)
            assert (ran.status, ran.stdout) == (2, "")
            assert "docker-plugin install" in ran.stderr

    def test_a_hook_is_declined(self) -> None:
        ran = self.run("unlock", "docker-cli-plugin-hooks", "{}")
        assert (ran.status, ran.stdout) == (1, "")
        assert "no hooks" in ran.stderr

    @pytest.mark.parametrize("words", [["--new-flag", "unlock"], ["-x"], ["-H"], ["--host"]], ids=" ".join)
    def test_a_flag_that_docker_does_not_have_is_a_usage_error(self, words: list[str]) -> None:
        ran = self.run(*words)
        assert ran.status == 2
        assert "Error: " in ran.stderr
        assert "Traceback" not in ran.stderr

    def test_flags_that_contradict_are_3(self) -> None:
        self.run("-H", "unix:///x", "-c", "y", "unlock", "z").assert_failed(3, "--context")


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sorted({int(child) for task in tasks for child in (task / "children").read_text().split()})


@contextmanager
def in_a_session(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with a process group of its own, of which nothing outlives the block."""
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def large_release(tmp_path_factory: pytest.TempPathFactory) -> AgeRelease:
    return make_age_release(tmp_path_factory.mktemp("docker-unlock-large"), filler_bytes=40_000_000)


class TestInterrupt:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
    @pytest.mark.parametrize("to_all", [True, False], ids=["as a terminal does", "docker alone"])
    def test_it_ends_with_docker(
        self,
        docker: Docker,
        large_release: AgeRelease,
        fresh_device: PrivateDockerd,
        number: signal.Signals,
        to_all: bool,
    ) -> None:
        command = [docker.program, "-H", fresh_device.host, "unlock", str(large_release.path)]
        with in_a_session([*command, *docker.opener, "--progress", "json"], docker.environment()) as process:
            assert process.stdout is not None
            assert any(json.loads(line)["step"] == "loading_images" for line in process.stdout)
            with stopped(fresh_device.pid):  # so that the load does not end by itself
                (plugin,) = children_of(process.pid)
                # An old docker, told alone, tells nobody: there only the terminal's way is left.
                tell = os.killpg if to_all or docker.is_old else os.kill
                tell(process.pid, number)
                _, words = process.communicate(timeout=20)
                assert process.returncode != 0
                assert wait_for_none(lambda: [str(plugin)] if Path(f"/proc/{plugin}").exists() else []) == []
        assert b"Traceback" not in words
        if number == signal.SIGINT:
            assert words.decode().count("interrupted") == 1

    def test_a_key_that_arrives_twice_does_not_cut_off_the_tidying(self) -> None:
        handler = _InterruptOnce()
        with pytest.raises(KeyboardInterrupt):
            handler(signal.SIGINT, None)
        handler(signal.SIGINT, None)

    def test_a_socket_that_is_gone_is_nothing(self, tmp_path: Path) -> None:
        before = signal.getsignal(signal.SIGINT)
        end_with_docker(str(tmp_path / "gone.sock"))
        end_with_docker("@binary-split-gone")
        assert signal.getsignal(signal.SIGINT) is before
