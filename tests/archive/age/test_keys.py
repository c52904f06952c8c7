"""Keys as text, and who opens what: the recipient types, and secrets that stay hidden."""

from __future__ import annotations

import io
import os
import traceback

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given
from hypothesis import strategies as st

from binary_split.archive.age import (
    FragmentIdentity,
    FragmentRecipient,
    HybridIdentity,
    HybridRecipient,
    Identity,
    PassphraseIdentity,
    PassphraseRecipient,
    Recipient,
    X25519Identity,
    X25519Recipient,
    generate_identity_text,
    open_age,
    parse_identities,
    parse_identity,
    parse_recipient,
    seal_age,
    serialise_recipient,
)
from binary_split.archive.age.bech32 import decode_bech32, encode_bech32
from binary_split.errors import ArchiveDamagedError, ArchiveFormatError, ConfigError, SecretFileError
from binary_split.model import Fragment
from tests.archive.age.kit import FRAGMENT, KEY_ID

# The examples of C2SP age.md.
SPEC_IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
SPEC_RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
SPEC_IDENTITY_PQ = "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR"


def seal(recipients: list[Recipient], plaintext: bytes = b"images") -> io.BytesIO:
    sink = io.BytesIO()
    with seal_age(sink, recipients) as writer:
        writer.write(plaintext)
    sink.seek(0)
    return sink


def pairs() -> list[tuple[Recipient, Identity]]:
    x25519 = X25519Identity(bytes(range(32)))
    hybrid = HybridIdentity(bytes(range(32)))
    return [
        (x25519.recipient, x25519),
        (hybrid.recipient, hybrid),
        (PassphraseRecipient("correct horse", log_n=4), PassphraseIdentity("correct horse")),
        (FragmentRecipient(KEY_ID, FRAGMENT), FragmentIdentity(FRAGMENT)),
    ]


def test_the_examples_of_the_specification() -> None:
    identity = parse_identity(SPEC_IDENTITY)
    assert isinstance(identity, X25519Identity)
    assert serialise_recipient(identity.recipient) == SPEC_RECIPIENT
    recipient = parse_recipient(SPEC_RECIPIENT)
    assert isinstance(recipient, X25519Recipient)
    assert recipient.public == identity.recipient.public
    hybrid = parse_identity(SPEC_IDENTITY_PQ)
    assert isinstance(hybrid, HybridIdentity)
    text = serialise_recipient(hybrid.recipient)
    assert text.startswith("age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxshfg87pzf5zr")
    assert text.endswith("qmwze9pyyzk3tlhl53k2ykx3qheyty7saeq0d3fzv49zc0k")
    assert isinstance(parse_recipient(text), HybridRecipient)


@given(st.binary(max_size=60))
def test_bech32_is_read_as_it_is_written(raw: bytes) -> None:
    text = encode_bech32("age", raw)
    assert decode_bech32(text) == decode_bech32(text.upper()) == ("age", raw)


@pytest.mark.parametrize("prefix", ["!", "~", "a1b"])
def test_bech32_has_prefixes_of_all_that_is_printable(prefix: str) -> None:
    assert decode_bech32(encode_bech32(prefix, b"key")) == (prefix, b"key")


# Test vectors of BIP 173, and a mixed case of one that is valid.
@pytest.mark.parametrize(
    "text",
    [
        " 1nwldj5",
        "\x7f1axkwrx",
        "\x801eym55h",
        "pzry9x0s0muk",
        "1pzry9x0s0muk",
        "10a06t8",
        "1qzzfhee",
        "x1b4n0q5v",
        "li1dgmt3",
        "de1lg7wt\xff",
        "A1G7SGD8",
        "A12UEl5L",
    ],
)
def test_bech32_that_is_none_is_refused(text: str) -> None:
    assert decode_bech32("A12UEL5L") == ("a", b"")
    with pytest.raises(ValueError, match=r"mixed case|prefix|alphabet|checksum"):
        decode_bech32(text)


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 61),
    st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"),
)
def test_one_wrong_character_of_a_key_is_noticed(raw: bytes, at: int, character: str) -> None:
    text = encode_bech32("age", raw)
    bad = text[:at] + character + text[at + 1 :]
    if bad != text:
        with pytest.raises(ConfigError):
            parse_recipient(bad)


@given(st.text(max_size=100))
def test_no_text_makes_the_parsers_raise_anything_foreign(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_recipient(text)
    with pytest.raises(SecretFileError):
        parse_identity(text)


@pytest.mark.parametrize(
    "text",
    [
        SPEC_RECIPIENT.upper(),
        SPEC_RECIPIENT[:-1],
        SPEC_IDENTITY,
        encode_bech32("age", bytes(31)),
        encode_bech32("age1pq", bytes(32)),
        encode_bech32("bc", bytes(32)),
        "age1" + "q" * 100_000,
    ],
)
def test_a_text_that_is_no_recipient_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_recipient(text)


def test_a_bad_identity_shows_nothing_of_itself() -> None:
    for bad in (SPEC_IDENTITY[:-1] + "Q", SPEC_IDENTITY.lower(), SPEC_IDENTITY + "é"):
        with pytest.raises(SecretFileError) as caught:
            parse_identity(bad)
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert "GFPYYSJZ" not in shown.upper()


def test_half_a_character_in_a_passphrase_shows_nothing_of_it() -> None:
    for kind in (PassphraseIdentity, PassphraseRecipient):
        with pytest.raises(SecretFileError) as caught:
            kind("hunter2\udc80")
        assert "hunter" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_an_identity_file_has_comments_and_blank_lines() -> None:
    text = f"# created: now\n# public key: {SPEC_RECIPIENT}\n\n{SPEC_IDENTITY}\r\n{SPEC_IDENTITY_PQ}\n"
    assert [type(identity) for identity in parse_identities(text)] == [X25519Identity, HybridIdentity]
    with pytest.raises(SecretFileError):
        parse_identities("# nothing\n")
    with pytest.raises(SecretFileError):
        parse_identities("AGE-SECRET-KEY-1\n")


def test_each_type_opens_its_own_and_no_other() -> None:
    for sealed_for, (recipient, _) in enumerate(pairs()):
        archive = seal([recipient])
        for opened_by, (_, identity) in enumerate(pairs()):
            archive.seek(0)
            if sealed_for == opened_by:
                with open_age(archive, [identity]) as reader:
                    assert reader.read() == b"images"
            else:
                with pytest.raises(ArchiveDamagedError):
                    open_age(archive, [identity])


def test_a_recipient_that_was_read_is_sealed_for() -> None:
    for identity in (X25519Identity(bytes(32)), HybridIdentity(bytes(32))):
        read = parse_recipient(serialise_recipient(identity.recipient))
        with open_age(seal([read]), [identity]) as reader:
            assert reader.read() == b"images"


@pytest.mark.parametrize(("count", "named"), [(8, "k0, k1, k2, k3, k4, k5, k6, k7."), (9, "k6, k7, ….")])
def test_whoever_opens_nothing_is_told_some_of_the_key_ids(count: int, named: str) -> None:
    archive = seal([FragmentRecipient(f"k{number}", FRAGMENT) for number in range(count)])
    with pytest.raises(ArchiveDamagedError) as refused:
        open_age(archive, [FragmentIdentity(Fragment(bytes(32)))])
    assert str(refused.value.hint).endswith(named)


def test_the_wrong_key_of_each_type_is_told_in_the_same_words() -> None:
    strangers: list[Identity] = [
        X25519Identity(bytes(32)),
        HybridIdentity(bytes(32)),
        PassphraseIdentity("wrong"),
        FragmentIdentity(Fragment(bytes(32))),
    ]
    for (recipient, _), stranger in zip(pairs(), strangers, strict=True):
        with pytest.raises(ArchiveDamagedError, match=r"^wrong fragment or damaged archive$"):
            open_age(seal([recipient]), [stranger])


def test_several_fragments_and_a_recovery_key_open_one_archive() -> None:
    recovery = X25519Identity(os.urandom(32))
    other = Fragment(os.urandom(32))
    archive = seal(
        [FragmentRecipient(KEY_ID, FRAGMENT), FragmentRecipient("next", other), recovery.recipient]
    )
    for identity in (FragmentIdentity(FRAGMENT), FragmentIdentity(other, key_id="next"), recovery):
        archive.seek(0)
        with open_age(archive, [FragmentIdentity(Fragment(bytes(32))), identity]) as reader:
            assert reader.read() == b"images"


def test_recipients_that_must_not_be_mixed_are_not() -> None:
    (x25519, _), (hybrid, _), (passphrase, _), (fragment, _) = pairs()
    with pytest.raises(ConfigError):
        seal([])
    with pytest.raises(ConfigError):
        seal([x25519, hybrid])
    for other in (x25519, hybrid, passphrase, fragment):
        with pytest.raises(ConfigError):
            seal([passphrase, other])
    assert seal([hybrid, fragment]).read()


def test_a_refused_recipient_leaves_the_sink_untouched() -> None:
    sink = io.BytesIO()
    with pytest.raises(ConfigError):
        seal_age(sink, [pairs()[2][0], pairs()[0][0]])
    assert sink.getvalue() == b""


def test_a_build_without_ml_kem_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_arguments: object) -> None:
        raise UnsupportedAlgorithm("ML-KEM")

    recipient, identity = pairs()[1]
    archive = seal([recipient])
    monkeypatch.setattr(
        "cryptography.hazmat.primitives.asymmetric.mlkem.MLKEM768PublicKey.from_public_bytes", lacking
    )
    monkeypatch.setattr(
        "cryptography.hazmat.primitives.asymmetric.mlkem.MLKEM768PrivateKey.from_seed_bytes", lacking
    )
    with pytest.raises(ConfigError, match="lacks ML-KEM"):
        seal([recipient])
    with pytest.raises(ConfigError, match="lacks ML-KEM"):
        open_age(archive, [identity])


def test_a_bad_key_id_or_a_short_fragment_is_not_sealed_with() -> None:
    for key_id in ("", "-a", "A", "a b", "a/b", "a" * 65, "é"):
        with pytest.raises(ConfigError):
            FragmentRecipient(key_id, FRAGMENT)
    with pytest.raises(ConfigError):
        FragmentRecipient(KEY_ID, Fragment(bytes(15)))


def test_a_recipient_of_low_order_or_out_of_range_is_refused() -> None:
    with pytest.raises(ArchiveFormatError):
        seal([X25519Recipient(bytes(32))])
    with pytest.raises(ConfigError):
        seal([HybridRecipient(b"\xff" * 1216)])


def test_two_seals_share_no_secret() -> None:
    first, second = (seal([pairs()[3][0]]).getvalue() for _ in range(2))
    assert first[60:] != second[60:]
    assert first[-22:] != second[-22:]


def test_no_repr_holds_a_secret() -> None:
    text = generate_identity_text()
    secret = decode_bech32(text)[1]
    objects = [
        parse_identity(text),
        HybridIdentity(secret),
        FragmentIdentity(Fragment(secret)),
        FragmentRecipient(KEY_ID, Fragment(secret)),
        PassphraseIdentity(text),
        PassphraseRecipient(text),
    ]
    for each in objects:
        for hidden in (text, text.lower(), secret.hex(), repr(secret)[2:-1]):
            assert hidden not in repr(each)
