"""Stock `age` opens our archives with the plugin: from a fragment's file, and from a real key service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from bed.certs import make_authority, make_leaf
from binary_split.archive.age import (
    FragmentRecipient,
    X25519Identity,
    generate_identity_text,
    parse_identity,
)
from binary_split.errors import ConfigError, KeyServiceUrlError, OutputError
from binary_split.model import Fragment
from tests.cli.stock_age import FRAGMENT, KEY_ID, MINE, OTHER, PAYLOAD, SOURCE, Shell
from tests.running import run_python

pytestmark = pytest.mark.slow  # each test runs the program

PROGRAM = [sys.executable, "-c", "from binary_split.cli.main import main; main()"]


def test_age_opens_with_a_fragment_file(shell: Shell) -> None:
    shell.write("fragment", FRAGMENT)
    archive = shell.seal("bundle.age", [MINE])
    shell.good("identity", "--fragment-file", "fragment", "-o", "identity.txt")
    text = (shell.folder / "identity.txt").read_text()
    assert f"# fragment file: {shell.folder}/fragment\n" in text
    assert shell.age("-d", "-i", shell.folder / "identity.txt", archive) == (0, PAYLOAD, "")
    printed = shell.good("identity", "--fragment-file", "fragment", "--key-id", KEY_ID)
    identity = shell.write("printed", printed.stdout)
    assert shell.age("-d", "-i", identity, archive) == (0, PAYLOAD, "")


def test_several_stanzas_and_identities_are_tried_until_one_opens(shell: Shell) -> None:
    text = generate_identity_text()
    identity = parse_identity(text)
    assert isinstance(identity, X25519Identity)
    other = FragmentRecipient("fleet-8", Fragment(OTHER))
    archive = shell.seal("bundle.age", [other, identity.recipient, MINE])
    shell.write("fragment", FRAGMENT)
    shell.write("wrong", bytes(32))
    ours = shell.good("identity", "--fragment-file", "fragment").stdout
    wrong = shell.good("identity", "--fragment-file", "wrong").stdout
    stranger = f"{generate_identity_text()}\n".encode()
    for each in (stranger + wrong + ours, wrong + text.encode(), text.encode(), ours + wrong):
        done = shell.age("-d", "-i", shell.write("identities", each), archive)
        assert (done.returncode, done.stdout) == (0, PAYLOAD), done.stderr


@pytest.mark.parametrize("key_id", [(), ("--key-id", KEY_ID)])
def test_a_wrong_fragment_fails_in_our_words(shell: Shell, key_id: tuple[str, ...]) -> None:
    shell.write("wrong", b"secret-secret-secret")
    identity = shell.write("identity", shell.good("identity", "--fragment-file", "wrong", *key_id).stdout)
    out = shell.folder / "out"
    done = shell.age("-d", "-i", identity, "-o", out, shell.seal("bundle.age", [MINE]))
    assert done.returncode != 0
    assert "wrong fragment or damaged archive" in done.stderr
    assert "hint: " in done.stderr
    assert "secret-" not in done.stderr
    assert not out.exists()


def test_a_missing_fragment_file_is_named(shell: Shell) -> None:
    identity = shell.write("identity", shell.good("identity", "--fragment-file", "gone").stdout)
    done = shell.age("-d", "-i", identity, shell.seal("bundle.age", [MINE]))
    assert done.returncode != 0
    assert f"cannot read the fragment file {shell.folder}/gone" in done.stderr
    assert "Traceback" not in done.stderr


def test_age_cannot_seal_for_our_identity_and_says_how(shell: Shell) -> None:
    identity = shell.write("identity", shell.good("identity", "--fragment-file", "fragment").stdout)
    done = shell.age("-e", "-i", identity, "-o", shell.folder / "out", identity)
    assert done.returncode != 0
    assert "binary-split seal" in done.stderr


@contextmanager
def serving(state: Path, *words: str | Path) -> Iterator[str]:
    """Run a key service on a free port of loopback, and give its URL."""
    command = [*PROGRAM, "keyservice", "serve", "--port", "0", "--state", str(state), *map(str, words)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": str(SOURCE)}
    ) as process:
        try:
            assert process.stderr
            match = re.fullmatch(r"key service listening on (https?://\S+)\n", process.stderr.readline())
            assert match
            yield match[1]
        finally:
            process.terminate()
            process.communicate(timeout=20)


@pytest.fixture
def service_files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A CA, and a key service's certificate and private key."""
    authority = make_authority()
    leaf = make_leaf(authority)
    private = leaf.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(private)
    return (
        authority.write_certificate(tmp_path / "ca.pem"),
        leaf.write_certificate(tmp_path / "cert.pem"),
        tmp_path / "key.pem",
    )


def test_age_opens_through_a_real_key_service_until_the_token_is_revoked(
    shell: Shell, service_files: tuple[Path, Path, Path]
) -> None:
    ca, certificate, private = service_files
    state = shell.folder / "state"
    shell.write("fragment", FRAGMENT)
    shell.good("keyservice", "init", "--state", state)
    shell.good("key", "import", KEY_ID, shell.folder / "fragment", "--state", state)
    issued = shell.good("token", "issue", "--key", KEY_ID, "--state", state)
    token_id = re.search(r"tok_\w+", issued.stderr)
    assert token_id
    shell.write("token", issued.stdout)
    archive = shell.seal("bundle.age", [MINE])
    with serving(state, "--tls-cert", certificate, "--tls-key", private) as url:
        named = ("identity", "--key-service", url, "--token-file", "token", "--ca-file", ca)
        identity = shell.write("identity", shell.good(*named, "--key-id", KEY_ID).stdout)
        assert shell.age("-d", "-i", identity, archive) == (0, PAYLOAD, "")
        own = shell.write("own", shell.good(*named).stdout)
        assert shell.age("-d", "-i", own, archive) == (0, PAYLOAD, "")
        distrusting = shell.write("distrusting", shell.good(*named[:5]).stdout)
        refused = shell.age("-d", "-i", distrusting, archive)
        assert refused.returncode != 0
        assert "self-signed or of an unknown CA" in refused.stderr
        shell.good("token", "revoke", token_id[0], "--state", state)
        revoked = shell.age("-d", "-i", identity, archive)
        assert revoked.returncode != 0
        assert "hint: Ask the vendor whether this device is still entitled." in revoked.stderr
        assert issued.stdout.decode().strip() not in revoked.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), ConfigError),
        (("--key-service", "https://k.example"), ConfigError),
        (("--token-file", "t"), ConfigError),
        (("--fragment-file", "f", "--token-file", "t"), ConfigError),
        (("--fragment-file", "-"), ConfigError),
        (("--fragment-file", "f", "--key-id", "../x"), ConfigError),
        (("--key-service", "http://k.example", "--token-file", "t"), KeyServiceUrlError),
        (("--key-service", "https://u:secret@k.example", "--token-file", "t"), KeyServiceUrlError),
    ],
)
def test_an_identity_that_would_not_work_is_refused(
    shell: Shell, words: tuple[str, ...], error: type[ConfigError]
) -> None:
    result = shell.run("identity", *words)
    assert result.returncode == error.exit_code
    assert result.stdout == b""
    assert "secret" not in result.stderr


def test_an_identity_file_is_not_overwritten(shell: Shell) -> None:
    path = shell.write("identity", b"precious")
    result = shell.run("identity", "--fragment-file", "f", "-o", path)
    assert result.returncode == OutputError.exit_code
    assert path.read_bytes() == b"precious"


def test_a_reader_of_the_help_that_leaves_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    module = "from binary_split.cli.age_plugin import main; main()"
    done = run_python(module, "--help", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_run_by_hand_it_says_what_it_is_for(shell: Shell) -> None:
    plugin = str(shell.folder / "bin" / "age-plugin-binary-split")

    def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([plugin, *words], input=stdin, capture_output=True, timeout=30, check=False)

    for words in ((), ("--help",)):
        done = run(*words)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"age -d -i IDENTITY-FILE" in done.stdout
    assert b"version" in run("--version").stdout
    assert (run("x").returncode, run("x").stdout) == (2, b"")
    unknown = run("--age-plugin=identity-v2")
    assert (unknown.returncode, unknown.stdout) == (2, b"")
    for machine in ("identity-v1", "recipient-v1"):
        babbling = run(f"--age-plugin={machine}", stdin=b"hello\n")
        assert babbling.returncode == 6
        assert babbling.stdout.startswith(b"-> error internal\n")
        assert b"Traceback" not in babbling.stderr


def test_the_plugin_is_a_program_of_the_distribution() -> None:
    project = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["age-plugin-binary-split"] == "binary_split.cli.age_plugin:main"
