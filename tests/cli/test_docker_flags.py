"""Docker's global flags mean the engine that they mean for docker itself."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from binary_split.cli.docker_flags import engine_variables, parse_global_flags
from binary_split.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("-H a", {"host": "a"}),
        ("-Ha", {"host": "a"}),
        ("-H=a", {"host": "a"}),
        ("--host a", {"host": "a"}),
        ("--host=a=b", {"host": "a=b"}),
        ("--host=", {"host": ""}),
        ("-c unlock", {"context": "unlock"}),
        ("-Dc a", {"debug": "true", "context": "a"}),
        ("-DHa", {"debug": "true", "host": "a"}),
        ("-l debug --debug", {"log-level": "debug", "debug": "true"}),
        ("--config a --context b", {"config": "a", "context": "b"}),
        ("--tls --tlsverify=1 --debug=false", {"tls": "true", "tlsverify": "1"}),
        ("--tlscacert a --tlscert=b --tlskey c", {"tlscacert": "a", "tlscert": "b", "tlskey": "c"}),
        ("--", {}),
        ("-h", {"help": "true"}),
        ("", {}),
    ],
)
def test_flags_are_taken_off_the_front_alone(words: str, flags: dict[str, str]) -> None:
    rest = ["unlock", "x.age", "-H", "not ours", "--", "-c"]
    assert parse_global_flags([*words.split(), *rest]) == (flags, rest)


@pytest.mark.parametrize("words", ["-H", "--host", "-x", "-Dx", "--tlsfoo", "--tlsfoo=1", "---"])
def test_what_docker_does_not_know_is_a_usage_error(words: str) -> None:
    with pytest.raises(click.UsageError):
        parse_global_flags(words.split())


class Home:
    """A Docker client's folder of settings, and the variables that lead there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config.json").write_text("{}")

    def changes(self, flags: str, **environ: str) -> dict[str, str | None]:
        given, _rest = parse_global_flags(flags.split())
        with engine_variables(given, {"DOCKER_CONFIG": str(self.folder), **environ}) as changes:
            return dict(changes)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


class TestPlace:
    def test_without_flags_the_environment_stands(self, home: Home) -> None:
        assert home.changes("") == home.changes("-D -l info", DOCKER_HOST="unix:///x") == {}

    def test_a_host_beats_a_context_of_the_environment(self, home: Home) -> None:
        assert home.changes("-H unix:///x", DOCKER_CONTEXT="c") == {
            "DOCKER_HOST": "unix:///x",
            "DOCKER_CONTEXT": None,
        }

    @pytest.mark.parametrize(
        ("given", "meant"),
        [("box:2375", "tcp://box:2375"), (":2375", "tcp://localhost:2375"), ("ssh://me@box", "ssh://me@box")],
    )
    def test_a_host_may_be_short(self, home: Home, given: str, meant: str) -> None:
        assert home.changes(f"-H {given}")["DOCKER_HOST"] == meant

    def test_a_context_beats_a_host_of_the_environment_and_its_tls(self, home: Home) -> None:
        environ = {"DOCKER_HOST": "tcp://x:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/x"}
        assert home.changes("-c device", **environ) == {"DOCKER_CONTEXT": "device", **dict.fromkeys(environ)}

    def test_the_context_default_is_the_environments_host(self, home: Home) -> None:
        assert home.changes("-c default", DOCKER_HOST="unix:///x") == {"DOCKER_CONTEXT": "default"}

    def test_both_are_refused(self, home: Home) -> None:
        with pytest.raises(ConfigError, match="exclude"):
            home.changes("-c device -H unix:///x")

    def test_a_folder_without_a_config_is_not_passed_over_for_the_one_at_home(
        self, home: Home, tmp_path: Path
    ) -> None:
        empty = tmp_path / "empty"
        flags = f"--config {empty}"
        assert home.changes(flags) == {"DOCKER_CONFIG": str(empty), "DOCKER_CONTEXT": "default"}
        assert home.changes(flags, DOCKER_HOST="unix:///x") == {"DOCKER_CONFIG": str(empty)}
        assert home.changes(f"{flags} -H unix:///x", DOCKER_CONTEXT="c")["DOCKER_CONTEXT"] is None
        for environ in ({"DOCKER_CONTEXT": "c"}, {}):
            with pytest.raises(ConfigError, match="no Docker context 'c'"):
                home.changes(flags if environ else f"{flags} -c c", **environ)


class TestTls:
    HOST = "-H tcp://x:2376"

    @pytest.mark.parametrize("flag", ["--tls", "--tlsverify", "--tls --tlsverify=false", "--tlsverify=true"])
    def test_the_usual_files_are_those_of_the_settings_folder(self, home: Home, flag: str) -> None:
        if flag == "--tls --tlsverify=false":
            flag = "--tls"  # docker would not verify; we do
        changes = home.changes(f"{self.HOST} {flag}")
        assert (changes["DOCKER_TLS_VERIFY"], changes["DOCKER_CERT_PATH"]) == ("1", str(home.folder))
        assert home.changes(f"{self.HOST} {flag}", DOCKER_CERT_PATH="/x")["DOCKER_CERT_PATH"] == "/x"

    @pytest.mark.parametrize("flag", ["", "--tls=false", "--tlscacert x"])
    def test_without_the_switch_there_is_no_tls(self, home: Home, flag: str) -> None:
        assert set(home.changes(f"{self.HOST} {flag}")) == {"DOCKER_HOST", "DOCKER_CONTEXT"}

    def test_the_environments_host_may_be_spoken_to_by_tls(self, home: Home) -> None:
        assert home.changes("--tlsverify", DOCKER_HOST="tcp://x:1")["DOCKER_TLS_VERIFY"] == "1"
        assert home.changes("--tlsverify") == {}  # the local engine's socket has none
        assert home.changes("-c device --tlsverify", DOCKER_HOST="tcp://x:1")["DOCKER_TLS_VERIFY"] is None

    def test_files_anywhere_are_shown_under_their_usual_names_for_the_while(
        self, home: Home, tmp_path: Path
    ) -> None:
        (home.folder / "key.pem").write_text("the usual key")
        authority = tmp_path / "company-ca.crt"
        authority.write_text("a CA")
        flags, _rest = parse_global_flags([*self.HOST.split(), "--tlsverify", "--tlscacert", str(authority)])
        with engine_variables(flags, {"DOCKER_CONFIG": str(home.folder)}) as changes:
            folder = Path(str(changes["DOCKER_CERT_PATH"]))
            assert folder.stat().st_mode & 0o077 == 0
            assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "key.pem"]
            assert (folder / "ca.pem").readlink() == authority
            assert (folder / "key.pem").read_text() == "the usual key"
        assert not folder.exists()
        assert authority.exists()
