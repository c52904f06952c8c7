"""`rekey` as a command: who opens afterwards, ours and stock `age`, and what a failure leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from binary_split.archive.age import (
    FragmentIdentity,
    PassphraseRecipient,
    X25519Identity,
    generate_identity_text,
    open_age,
    parse_identity,
    read_header,
    serialise_recipient,
)
from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveFormatError,
    ConfigError,
    SecretFileError,
)
from binary_split.model import Fragment
from tests.archive.age.kit import header_size
from tests.cli.stock_age import FRAGMENT, KEY_ID, MINE, OTHER, PAYLOAD, Shell


class Person:
    """Somebody with an age key of their own."""

    def __init__(self) -> None:
        self.text = generate_identity_text()
        identity = parse_identity(self.text)
        assert isinstance(identity, X25519Identity)
        self.recipient = identity.recipient
        self.name = serialise_recipient(identity.recipient)


def opens(archive: Path, fragment: bytes) -> bool:
    with archive.open("rb") as source:
        try:
            with open_age(source, [FragmentIdentity(Fragment(fragment))]) as reader:
                return reader.read() == PAYLOAD
        except ArchiveDamagedError:
            return False


def age_opens(shell: Shell, archive: Path, identity: bytes) -> bool:
    done = shell.age("-d", "-i", shell.write("identity", identity), archive)
    return done.stdout == PAYLOAD and done.returncode == 0


def located(shell: Shell, name: str) -> bytes:
    return shell.good("identity", "--fragment-file", name).stdout


@pytest.fixture
def archive(shell: Shell) -> Path:
    """Sealed for `MINE` alone; both fragments lie beside it."""
    shell.write("mine", FRAGMENT)
    shell.write("other", OTHER)
    return shell.seal("bundle.age", [MINE])


def refused(shell: Shell, error: type[ConfigError | ArchiveFormatError], *words: str | Path) -> str:
    """Run what must fail, check that nothing is left behind, and return what it said."""
    before = {path: path.read_bytes() for path in shell.folder.iterdir() if path.is_file()}
    result = shell.run("rekey", *words)
    assert result.returncode == error.exit_code, result.stderr
    assert result.stdout == b""
    assert {path: path.read_bytes() for path in shell.folder.iterdir() if path.is_file()} == before
    assert "Traceback" not in result.stderr
    return result.stderr


def test_after_add_old_and_new_open_and_the_payload_is_the_same(shell: Shell, archive: Path) -> None:
    person, out = Person(), shell.folder / "out.age"
    words = ("--add", "fleet-8=other", "--add", person.name, "-o", out)
    result = shell.good("rekey", archive, "--fragment-file", "mine", *words)
    assert "fleet-7, fleet-8, 1 age recipients" in result.stderr
    assert opens(out, FRAGMENT)
    assert opens(out, OTHER)
    for identity in (located(shell, "mine"), located(shell, "other"), person.text.encode()):
        assert age_opens(shell, out, identity)
    old, new = archive.read_bytes(), out.read_bytes()
    assert new[header_size(new) :] == old[header_size(old) :]


def test_after_remove_the_old_fragment_does_not_open_and_the_payload_is_another(
    shell: Shell, archive: Path
) -> None:
    out = shell.folder / "out.age"
    words = ("--remove", KEY_ID, "--add", "fleet-8=other", "--json", "-o", out)
    result = shell.good("rekey", archive, "--fragment-file", "mine", *words)
    assert json.loads(result.stdout) == {
        "archive": str(out),
        "archive_bytes": out.stat().st_size,
        "payload": "new",
        "key_ids": ["fleet-8"],
        "age_recipients": 0,
        "dropped_age_recipients": 0,
    }
    assert not opens(out, FRAGMENT)
    assert not age_opens(shell, out, located(shell, "mine"))
    assert opens(out, OTHER)
    assert age_opens(shell, out, located(shell, "other"))
    assert archive.read_bytes()[-64:] != out.read_bytes()[-64:]
    assert opens(archive, FRAGMENT), "the old archive stays as it is"


def test_who_stays_is_kept_by_name(shell: Shell, archive: Path) -> None:
    person, both, out = Person(), shell.folder / "both.age", shell.folder / "out.age"
    words = ("--add", "fleet-8=other", "--add", person.name, "-o", both)
    shell.good("rekey", archive, "--fragment-file", "mine", *words)
    opener = (both, "--fragment-file", "other")
    said = refused(shell, ConfigError, *opener, "--remove", "fleet-8=other", "--keep", person.name, "-o", out)
    assert "fleet-7" in said
    assert "--keep KEY-ID=FRAGMENT-FILE" in said
    keep = ("--keep", "fleet-7=mine", "--keep", person.name)
    result = shell.good("rekey", *opener, "--remove", "fleet-8", *keep, "-o", out)
    assert "warning" not in result.stderr
    assert opens(out, FRAGMENT)
    assert not opens(out, OTHER)
    assert age_opens(shell, out, person.text.encode())


@pytest.mark.parametrize(
    ("named", "warning"), [((), "1 age recipients of the old archive cannot open the new one"), (("x",), "")]
)
def test_age_recipients_that_are_dropped_are_counted(
    shell: Shell, archive: Path, named: tuple[str, ...], warning: str
) -> None:
    person, both, out = Person(), shell.folder / "both.age", shell.folder / "out.age"
    shell.good("rekey", archive, "--fragment-file", "mine", "--add", person.name, "-o", both)
    key_file = shell.write("key.txt", person.text.encode())
    words = ("--remove", KEY_ID, "--add", "fleet-8=other", *(("--remove", person.name) if named else ()))
    result = shell.good("rekey", both, "--identity", key_file, *words, "-o", out)
    assert warning in result.stderr
    assert ("named by no --remove" in result.stderr) == (not named)
    assert not age_opens(shell, out, person.text.encode())


def test_an_identity_file_of_ours_opens_too(shell: Shell, archive: Path) -> None:
    identity = shell.write("identity.txt", located(shell, "mine") + Person().text.encode())
    out = shell.folder / "out.age"
    shell.good("rekey", archive, "--identity", identity, "--add", "fleet-8=other", "-o", out)
    assert opens(out, OTHER)


@pytest.mark.parametrize("way", ["add", "remove"])
def test_a_damaged_payload_is_refused_and_an_older_output_stays(
    shell: Shell, archive: Path, way: str
) -> None:
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    archive.write_bytes(raw)
    out = shell.write("out.age", b"an older archive")
    words = ("--add", "fleet-8=other", *(("--remove", KEY_ID) if way == "remove" else ()))
    before = sorted(shell.folder.iterdir())
    for target in (out, shell.folder / "new.age"):
        result = shell.run("rekey", archive, "--fragment-file", "mine", *words, "-o", target)
        assert result.returncode == ArchiveDamagedError.exit_code
        assert "wrong fragment or damaged archive" in result.stderr
    assert sorted(shell.folder.iterdir()) == before
    assert out.read_bytes() == b"an older archive"


def test_an_archive_is_never_changed_in_place(shell: Shell, archive: Path) -> None:
    (shell.folder / "soft").symlink_to(archive)
    os.link(archive, shell.folder / "hard")
    for out in (archive, shell.folder / "soft", shell.folder / "hard"):
        words = (archive, "--fragment-file", "mine", "--add", "fleet-8=other", "-o", out)
        assert "never changed in place" in refused(shell, ConfigError, *words)


def test_neither_a_secret_nor_a_pipe_is_written_over(shell: Shell, archive: Path) -> None:
    os.mkfifo(shell.folder / "pipe")
    words = (archive, "--fragment-file", "mine", "--add", "fleet-8=other", "-o")
    for out in ("mine", "other"):
        assert "holds a fragment" in refused(shell, ConfigError, *words, out)
    for out in ("pipe", "-"):
        assert "taken back" in refused(shell, ConfigError, *words, out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to do"),
        (("--keep", "fleet-7=mine"), "nothing to do"),
        (("--add", "fleet-8=other", "--keep", "fleet-7=mine"), "--keep goes with --remove"),
        (("--add", "fleet-8"), "names nobody"),
        (("--add", "Fleet 8=other"), "not a key-id"),
        (("--add", "age1qqqq"), "not an age recipient"),
        (("--keep", "fleet-7", "--remove", "fleet-8"), "names nobody"),
        (("--add", "fleet-7=other"), "sealed for the key-id fleet-7 already"),
        (("--remove", "fleet-7", "--add", "fleet-7=other"), "named twice"),
        (("--remove", "fleet-7"), "nobody could open"),
        (("--remove", "fleet-9", "--keep", "fleet-7=mine"), "not sealed for the key-id fleet-9"),
        (("--remove", "fleet-7=other", "--add", "fleet-8=other"), "does not open the archive"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_written(
    shell: Shell, archive: Path, words: tuple[str, ...], said: str
) -> None:
    out = shell.folder / "out.age"
    assert said in refused(shell, ConfigError, archive, "--fragment-file", "mine", *words, "-o", out)


def test_more_age_recipients_than_there_are_cannot_be_kept(shell: Shell, archive: Path) -> None:
    words = ("--remove", KEY_ID, "--keep", Person().name, "-o", "out.age")
    assert "more age recipients" in refused(shell, ConfigError, archive, "--fragment-file", "mine", *words)


def test_either_an_identity_or_a_fragment_opens(shell: Shell, archive: Path) -> None:
    words = ("--add", "fleet-8=other", "-o", "out.age")
    for openers in ((), ("--fragment-file", "mine", "--identity", "mine")):
        assert "give one of" in refused(shell, ConfigError, archive, *openers, *words)
    result = shell.run("rekey", archive, "--identity", shell.write("none", b"# nobody\n"), *words)
    assert result.returncode == SecretFileError.exit_code
    hostile = shell.write("hostile", b"AGE-PLUGIN-../../BIN/SH-1QQQQQQQQ\n")
    assert shell.run("rekey", archive, "--identity", hostile, *words).returncode == SecretFileError.exit_code


def test_other_archives_are_refused_by_what_they_are(shell: Shell, archive: Path) -> None:
    words = ("--fragment-file", "mine", "--add", "fleet-8=other", "-o", "out.age")
    cbc = shell.write("bundle.cbc", bytes(64))
    assert "seal the release again" in refused(shell, ArchiveFormatError, cbc, *words)
    garbage = shell.write("garbage", b"x" * 63)
    assert "not an age v1 file" in refused(shell, ArchiveFormatError, garbage, *words)
    passphrase = shell.seal("secret.age", [PassphraseRecipient("correct horse", log_n=4)])
    assert "passphrase" in refused(shell, ConfigError, passphrase, *words)


def test_an_armored_archive_is_rekeyed_without_its_armor(shell: Shell, archive: Path) -> None:
    person, out = Person(), shell.folder / "out.age"
    shell.write("plain", PAYLOAD)
    shell.age("-a", "-r", person.name, "-o", shell.folder / "armored.age", shell.folder / "plain")
    key_file = shell.write("key.txt", person.text.encode())
    shell.good("rekey", shell.folder / "armored.age", "--identity", key_file, "--add", "k=mine", "-o", out)
    assert opens(out, FRAGMENT)
    with out.open("rb") as source:
        assert [stanza.kind for stanza in read_header(source).stanzas] == ["X25519", "binary-split"]


def test_progress_and_the_end_are_told_to_programs(shell: Shell, archive: Path) -> None:
    words = ("--fragment-file", "mine", "--add", "k=other", "--progress", "json", "-o", "out.age")
    *events, end = [json.loads(line) for line in shell.good("rekey", archive, *words).stdout.splitlines()]
    assert {event["step"] for event in events} == {"rekeying"}
    assert events[-1]["done_bytes"] == events[-1]["total_bytes"] == archive.stat().st_size
    assert end["payload"] == "shared"
