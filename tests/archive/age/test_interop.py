"""Both directions with other implementations: Debian's `age` and pyrage."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from binary_split.archive.age import (
    FragmentRecipient,
    PassphraseIdentity,
    PassphraseRecipient,
    Recipient,
    X25519Identity,
    X25519Recipient,
    generate_identity_text,
    open_age,
    open_age_stream,
    parse_identities,
    parse_identity,
    seal_age,
    serialise_recipient,
)
from tests.archive.age.kit import CHUNK, FRAGMENT, KEY_ID, Pipe, payload

SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 5 * CHUNK + 3)


@pytest.fixture(scope="module")
def age(program: Callable[[str], Path]) -> str:
    return str(program("age"))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.txt"
    path.write_text(f"# a test key\n{generate_identity_text()}\n")
    return path


def identity_of(path: Path) -> X25519Identity:
    (identity,) = parse_identities(path.read_text())
    assert isinstance(identity, X25519Identity)
    return identity


def seal(recipient: X25519Recipient | PassphraseRecipient, plaintext: bytes) -> bytes:
    sink = io.BytesIO()
    with seal_age(sink, [recipient]) as writer:
        writer.write(plaintext)
    return sink.getvalue()


def run(*command: str, stdin: bytes) -> bytes:
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("size", SIZES)
def test_age_opens_what_we_seal(age: str, key_file: Path, size: int) -> None:
    raw = seal(identity_of(key_file).recipient, payload(size))
    assert run(age, "-d", "-i", str(key_file), stdin=raw) == payload(size)


def test_age_opens_with_a_recovery_key_what_is_sealed_for_fragments_too(age: str, key_file: Path) -> None:
    sink = io.BytesIO()
    recipients: list[Recipient] = [FragmentRecipient(KEY_ID, FRAGMENT), identity_of(key_file).recipient]
    with seal_age(sink, recipients) as writer:
        writer.write(b"images")
    assert run(age, "-d", "-i", str(key_file), stdin=sink.getvalue()) == b"images"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("armor", [(), ("-a",)], ids=["binary", "armored"])
def test_we_open_what_age_seals(age: str, key_file: Path, size: int, armor: tuple[str, ...]) -> None:
    identity = identity_of(key_file)
    raw = run(age, "-r", serialise_recipient(identity.recipient), *armor, stdin=payload(size))
    assert open_age_stream(Pipe(raw), [identity]).readall() == payload(size)
    with open_age(io.BytesIO(raw), [identity]) as reader:
        assert reader.read() == payload(size)


def test_age_keygen_makes_keys_that_we_read(program: Callable[[str], Path], key_file: Path) -> None:
    keygen = str(program("age-keygen"))
    text = run(keygen, stdin=b"").decode()
    (identity,) = parse_identities(text)
    assert f"# public key: {serialise_recipient(identity.recipient)}" in text.splitlines()
    ours = run(keygen, "-y", str(key_file), stdin=b"").decode().strip()
    assert ours == serialise_recipient(identity_of(key_file).recipient)


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_and_we_open_what_the_other_seals(size: int) -> None:
    text = generate_identity_text()
    identity = parse_identity(text)
    assert isinstance(identity, X25519Identity)
    theirs = pyrage.x25519.Identity.from_str(text)
    assert str(theirs.to_public()) == serialise_recipient(identity.recipient)
    assert pyrage.decrypt(seal(identity.recipient, payload(size)), [theirs]) == payload(size)
    raw = pyrage.encrypt(payload(size), [theirs.to_public()])
    with open_age(io.BytesIO(raw), [identity]) as reader:
        assert reader.read() == payload(size)


@pytest.mark.slow
def test_pyrage_and_we_open_a_passphrase_file_of_the_other() -> None:
    raw = seal(PassphraseRecipient("correct horse", log_n=12), b"images")
    assert pyrage.passphrase.decrypt(raw, "correct horse") == b"images"
    raw = pyrage.passphrase.encrypt(b"images", "correct horse")
    with open_age(io.BytesIO(raw), [PassphraseIdentity("correct horse")]) as reader:
        assert reader.read() == b"images"
