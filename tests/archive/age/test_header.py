"""The header's parser: strict, canonical, bounded, and it raises its own errors only."""

from __future__ import annotations

import dataclasses
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binary_split.archive.age import (
    FragmentIdentity,
    FragmentRecipient,
    Header,
    PassphraseIdentity,
    Stanza,
    open_age,
    open_age_stream,
    parse_fragment_stanzas,
    parse_header,
    read_header,
)
from binary_split.archive.age.crypto import verify_header_mac
from binary_split.archive.age.encoding import decode_base64, encode_base64
from binary_split.archive.age.header import make_header
from binary_split.config import LIMITS
from binary_split.errors import ArchiveDamagedError, ArchiveFormatError, BinarySplitError
from binary_split.model import Fragment
from tests.archive.age.kit import FRAGMENT, IDENTITY, KEY_ID, Pipe, header_size, lines, sealed

FILE_KEY = bytes(16)
MAC = "A" * 43
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
STANZAS = st.lists(
    st.builds(
        Stanza,
        kind=VISIBLE.filter(lambda kind: kind != "scrypt"),
        arguments=st.lists(VISIBLE, max_size=4).map(tuple),
        body=st.binary(max_size=200),
    ),
    min_size=1,
    max_size=5,
)


class Endless:
    """A source that repeats a pattern and counts what was asked of it; it holds no more than one block."""

    def __init__(self, head: bytes, pattern: bytes, *, total: int = 1 << 30) -> None:
        self._head = head
        self._pattern = pattern
        self._total = total
        self.given = 0

    def read(self, size: int, /) -> bytes:
        size = min(size, self._total - self.given)
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
        else:
            part = (self._pattern * (size // len(self._pattern) + 1))[:size]
        self.given += len(part)
        return part


@given(STANZAS)
def test_what_is_written_is_read_and_written_again_alike(stanzas: list[Stanza]) -> None:
    header = make_header(stanzas, FILE_KEY)
    raw = header.serialise()
    assert parse_header(raw) == header == read_header(Pipe(raw + b"payload", at_most=7))
    assert parse_header(raw).serialise() == raw
    verify_header_mac(FILE_KEY, header.covered(), header.mac)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_parser_raise_anything_foreign(raw: bytes) -> None:
    for head in (b"", b"age-encryption.org/v1\n", b"age-encryption.org/v1\n-> X25519 ", b"-----BEGIN"):
        with pytest.raises(ArchiveFormatError):
            read_header(Pipe(head + raw))


@given(STANZAS, st.data())
def test_an_edited_header_is_refused_or_another_canonical_one(
    stanzas: list[Stanza], draw: st.DataObject
) -> None:
    raw = bytearray(make_header(stanzas, FILE_KEY).serialise())
    raw[draw.draw(st.integers(0, len(raw) - 1))] = draw.draw(st.integers(0, 255))
    try:
        header = parse_header(bytes(raw))
    except ArchiveFormatError:
        return
    assert header.serialise() == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"age-encryption.org/v2\n-> a\n\n--- " + MAC.encode() + b"\n",
        lines(["age-encryption.org/v1", f"--- {MAC}"]),
        lines(["age-encryption.org/v1", "-> ", "", f"--- {MAC}"]),
        lines(["age-encryption.org/v1", "->  a", "", f"--- {MAC}"]),
        lines(["age-encryption.org/v1", "-> a ", "", f"--- {MAC}"]),
        lines(["age-encryption.org/v1", "->a", "", f"--- {MAC}"]),
        lines(["age-encryption.org/v1", "-> a", f"--- {MAC}"]),
        lines(["age-encryption.org/v1", "-> a", "A" * 64, f"--- {MAC}"]),
        lines(["age-encryption.org/v1", "-> a", "A" * 65, "", f"--- {MAC}"]),
        lines(["age-encryption.org/v1", "-> a", "AB", f"--- {MAC}"]),
        lines(["age-encryption.org/v1", "-> a", "AA==", f"--- {MAC}"]),
        lines(["age-encryption.org/v1", "-> a", "", f"---  {MAC}"]),
        lines(["age-encryption.org/v1", "-> a", "", f"--- {MAC}A"]),
        lines(["age-encryption.org/v1", "-> a", "", f"--- {MAC[:-1]}B"]),
        lines(["age-encryption.org/v1", "-> a", "", f"--- {MAC}"])[:-1],
        lines(["age-encryption.org/v1", "-> a", "", f"--- {MAC}", "x"]),
        lines(["age-encryption.org/v1", "-> scrypt", "", "-> a", "", f"--- {MAC}"]),
        lines(["age-encryption.org/v1\r", "-> a", "", f"--- {MAC}"]),
    ],
)
def test_what_we_would_not_write_we_do_not_read(raw: bytes) -> None:
    with pytest.raises(ArchiveFormatError):
        parse_header(raw)


@pytest.mark.fault(15)
def test_a_header_of_one_gibibyte_is_refused_in_bounded_memory() -> None:
    for source in (
        Endless(b"age-encryption.org/v1\n-> a ", b"x"),
        Endless(b"age-encryption.org/v1\n-> a\n", b"A" * 64 + b"\n"),
        Endless(b"age-encryption.org/v1\n", b"-> a\n\n"),
        Endless(b"", b"x"),
        Endless(b"", b"\n"),
        Endless(b"-----BEGIN AGE ENCRYPTED FILE-----\n", b"QUFB" * 16 + b"\n"),
    ):
        tracemalloc.start()
        with pytest.raises(ArchiveFormatError):
            read_header(source)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert source.given <= LIMITS.age_header_bytes + 8192
        assert peak < 8 * LIMITS.age_header_bytes


@pytest.mark.fault(15)
def test_a_million_stanzas_are_refused() -> None:
    small = dataclasses.replace(LIMITS, age_header_bytes=1 << 30)
    source = Endless(b"age-encryption.org/v1\n", b"-> a\n\n", total=6_000_000)
    with pytest.raises(ArchiveFormatError, match="1024 stanzas"):
        read_header(source, limits=small)
    assert source.given < 20_000


def test_arguments_and_bodies_are_bounded() -> None:
    with pytest.raises(ArchiveFormatError, match="arguments"):
        make_header([Stanza("a", ("b",) * 16, b"")], FILE_KEY)
    with pytest.raises(ArchiveFormatError, match="too long"):
        make_header([Stanza("a", (), bytes(LIMITS.age_stanza_body_bytes + 100))], FILE_KEY)
    with pytest.raises(ArchiveFormatError, match="argument"):
        make_header([Stanza("a b", (), b"")], FILE_KEY)


@given(st.binary(max_size=100))
def test_base64_is_read_only_as_it_is_written(raw: bytes) -> None:
    text = encode_base64(raw)
    assert decode_base64(text, size=len(raw)) == raw
    for bad in (text + "=", text + "\n", " " + text, text + "é"):
        with pytest.raises(ArchiveFormatError):
            decode_base64(bad)


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ((), bytes(32)),
        ((KEY_ID,), bytes(32)),
        ((KEY_ID, "A" * 22, "x"), bytes(32)),
        (("-" + KEY_ID, "A" * 22), bytes(32)),
        (("a" * 65, "A" * 22), bytes(32)),
        (("Fleet", "A" * 22), bytes(32)),
        (("../x", "A" * 22), bytes(32)),
        ((KEY_ID, "A" * 21), bytes(32)),
        ((KEY_ID, "A" * 21 + "B"), bytes(32)),
        ((KEY_ID, "A" * 22 + "=="), bytes(32)),
        ((KEY_ID, "A" * 22), bytes(31)),
        ((KEY_ID, "A" * 22), bytes(33)),
    ],
)
def test_a_malformed_fragment_stanza_is_refused(arguments: tuple[str, ...], body: bytes) -> None:
    stanza = Stanza("binary-split", arguments, body)
    with pytest.raises(ArchiveFormatError):
        parse_fragment_stanzas([stanza])
    with pytest.raises(ArchiveFormatError):
        IDENTITY.unwrap([stanza])


def test_the_header_names_its_key_ids_without_a_key() -> None:
    header = read_header(Pipe(sealed(10)))
    assert [stanza.key_id for stanza in parse_fragment_stanzas(header.stanzas)] == [KEY_ID]


def test_a_fragment_opens_only_the_key_id_that_it_was_sealed_under() -> None:
    stanza = FragmentRecipient("one", FRAGMENT).wrap(FILE_KEY)[0]
    assert FragmentIdentity(FRAGMENT).unwrap([stanza]) == FILE_KEY
    assert FragmentIdentity(FRAGMENT, key_id="one").unwrap([stanza]) == FILE_KEY
    assert FragmentIdentity(FRAGMENT, key_id="two").unwrap([stanza]) is None
    renamed = dataclasses.replace(stanza, arguments=("two", stanza.arguments[1]))
    assert FragmentIdentity(FRAGMENT).unwrap([renamed]) is None


def test_the_error_for_a_foreign_fragment_names_the_key_ids_of_the_archive() -> None:
    stranger = FragmentIdentity(Fragment(bytes(32)))
    with pytest.raises(ArchiveDamagedError, match="wrong fragment or damaged archive") as caught:
        open_age_stream(Pipe(sealed(10)), [stranger])
    assert KEY_ID in caught.value.hint


@pytest.mark.fault(14)
def test_a_work_factor_above_the_ceiling_is_refused_before_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    def compute(*_arguments: object) -> bytes:
        raise AssertionError("scrypt was computed")

    monkeypatch.setattr("binary_split.archive.age.passphrase._stretch", compute)
    for log_n in ("21", "23", "64", "999", "99999999999999999999", "+1", "01", "0", "1e3", "\uff11\uff18"):
        stanza = Stanza("scrypt", ("A" * 22, log_n), bytes(32))
        with pytest.raises(ArchiveFormatError):
            PassphraseIdentity("secret").unwrap([stanza])


def test_a_passphrase_beside_another_stanza_is_refused_before_computing() -> None:
    stanza = Stanza("scrypt", ("A" * 22, "10"), bytes(32))
    for others in ([stanza], [Stanza("X25519", (), b"")]):
        with pytest.raises(ArchiveFormatError, match="alone"):
            PassphraseIdentity("secret").unwrap([stanza, *others])


@pytest.mark.fault(14)
def test_a_passphrase_that_needs_more_memory_than_there_is_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def derive(*_arguments: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("binary_split.archive.age.passphrase.Scrypt.derive", derive, raising=True)
    stanza = Stanza("scrypt", ("A" * 22, "20"), bytes(32))
    with pytest.raises(ArchiveFormatError, match="1048576 KiB of memory"):
        PassphraseIdentity("secret").unwrap([stanza])


def test_a_malformed_fragment_stanza_spoils_no_error_of_another_identity() -> None:
    header = make_header([Stanza("binary-split", ("../x",), b"")], FILE_KEY)
    with pytest.raises(ArchiveDamagedError):
        open_age_stream(Pipe(header.serialise() + bytes(32)), [PassphraseIdentity("secret")])


def test_a_header_without_its_payload_is_malformed() -> None:
    raw = sealed(10)[: header_size(sealed(10))]
    for extra in (b"", bytes(15)):
        with pytest.raises(ArchiveFormatError):
            open_age_stream(Pipe(raw + extra), [IDENTITY])


def test_the_errors_of_a_source_are_mapped() -> None:
    class Broken:
        def read(self, size: int, /) -> bytes:
            raise OSError(5, "Input/output error")

        def seek(self, offset: int, whence: int = 0, /) -> int:
            raise OSError(29, "Illegal seek")

        def tell(self) -> int:
            raise OSError(29, "Illegal seek")

    class Empty:
        def read(self, size: int, /) -> None:
            return None

    for attempt in (
        lambda: read_header(Empty()),
        lambda: read_header(Broken()),
        lambda: open_age_stream(Broken(), [IDENTITY]),
        lambda: open_age(Broken(), [IDENTITY]),
    ):
        with pytest.raises(BinarySplitError) as caught:
            attempt()
        assert caught.value.code == "archive-unreadable"


def test_a_header_can_be_looked_at() -> None:
    assert isinstance(read_header(Pipe(sealed(1))), Header)
