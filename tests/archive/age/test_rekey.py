"""More openers over the same payload, or all sealed anew; a damaged file is never passed on as whole."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest

from binary_split.archive.age import (
    FragmentIdentity,
    FragmentRecipient,
    HybridIdentity,
    Identity,
    PassphraseIdentity,
    PassphraseRecipient,
    Recipient,
    X25519Identity,
    open_age,
    open_age_stream,
    read_header,
    seal_age,
)
from binary_split.archive.age.rekey import add_recipients, replace_recipients
from binary_split.errors import ArchiveDamagedError, ArchiveError, ArchiveFormatError, ConfigError
from binary_split.model import Fragment, Progress
from tests.archive.age.kit import (
    CHUNK,
    FRAGMENT,
    IDENTITY,
    KEY_ID,
    SEALED,
    chunks_of,
    header_size,
    payload,
    sealed,
)

SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5)
NEW = Fragment(b"another fragment" * 2)
NEW_RECIPIENT = FragmentRecipient("fleet-8", NEW)
NEW_IDENTITY = FragmentIdentity(NEW, key_id="fleet-8")
RECOVERY = X25519Identity(bytes(range(1, 33)))


def opened(raw: bytes, identity: Identity) -> bytes:
    with open_age(io.BytesIO(raw), [identity]) as reader:
        return reader.read()


def added(raw: bytes, recipients: Sequence[Recipient], identity: Identity = IDENTITY) -> bytes:
    sink = io.BytesIO()
    add_recipients(io.BytesIO(raw), sink, [identity], recipients)
    return sink.getvalue()


def replaced(raw: bytes, recipients: Sequence[Recipient], identity: Identity = IDENTITY) -> bytes:
    sink = io.BytesIO()
    replace_recipients(io.BytesIO(raw), sink, [identity], recipients)
    return sink.getvalue()


@pytest.mark.parametrize("size", SIZES)
def test_after_an_addition_old_and_new_open_the_same_payload(size: int) -> None:
    old = sealed(size)
    new = added(old, [NEW_RECIPIENT, RECOVERY.recipient])
    for identity in (IDENTITY, NEW_IDENTITY, RECOVERY):
        assert opened(new, identity) == payload(size)
        assert open_age_stream(io.BytesIO(new), [identity]).readall() == payload(size)
    assert new[header_size(new) :] == old[header_size(old) :], "nonce and chunks are copied byte by byte"
    old_stanzas = read_header(io.BytesIO(old)).stanzas
    assert read_header(io.BytesIO(new)).stanzas[: len(old_stanzas)] == old_stanzas


def test_the_new_header_is_what_is_returned() -> None:
    sink = io.BytesIO()
    header = add_recipients(io.BytesIO(sealed(5)), sink, [IDENTITY], [NEW_RECIPIENT])
    assert read_header(io.BytesIO(sink.getvalue())) == header


@pytest.mark.parametrize("size", SIZES)
def test_after_a_replacement_only_the_new_opens_and_nothing_of_the_old_is_left(size: int) -> None:
    old = sealed(size)
    new = replaced(old, [NEW_RECIPIENT])
    assert opened(new, NEW_IDENTITY) == payload(size)
    with pytest.raises(ArchiveDamagedError):
        opened(new, IDENTITY)
    old_chunks, new_chunks = chunks_of(old)[1], chunks_of(new)[1]
    assert len(old_chunks) == len(new_chunks)
    assert not set(old_chunks) & set(new_chunks)
    assert IDENTITY.unwrap(read_header(io.BytesIO(old)).stanzas) != NEW_IDENTITY.unwrap(
        read_header(io.BytesIO(new)).stanzas
    )


@pytest.mark.parametrize("rekey", [added, replaced])
@pytest.mark.parametrize("size", SIZES)
def test_a_damaged_payload_is_not_passed_on(rekey: object, size: int) -> None:
    assert callable(rekey)
    raw = sealed(size)
    start = header_size(raw)
    damaged = [raw[:-1], raw + b"x", raw + raw, raw[: start + 16], raw[: start + 3]]
    damaged += [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in (start, start + 16, len(raw) - 1)]
    if size > CHUNK:
        damaged += [raw[: start + 16 + SEALED], raw[: start + 16] + raw[start + 16 + SEALED :]]
    for each in damaged:
        with pytest.raises(ArchiveError):
            rekey(each, [NEW_RECIPIENT])


def test_no_damaged_chunk_reaches_the_sink_of_an_addition() -> None:
    raw = bytearray(sealed(3 * CHUNK))
    start = header_size(bytes(raw)) + 16
    raw[start + SEALED + 7] ^= 1
    sink = io.BytesIO()
    with pytest.raises(ArchiveDamagedError):
        add_recipients(io.BytesIO(raw), sink, [IDENTITY], [NEW_RECIPIENT])
    assert chunks_of(sink.getvalue())[1] == [bytes(raw[start : start + SEALED])]


@pytest.mark.parametrize("rekey", [added, replaced])
def test_a_header_that_was_changed_or_opens_for_nobody_is_refused(rekey: object) -> None:
    assert callable(rekey)
    raw = sealed(10)
    at = raw.index(b"\n--- ") + 5
    forged = raw[:at] + (b"A" if raw[at : at + 1] != b"A" else b"B") + raw[at + 1 :]
    for each, identity in ((forged, IDENTITY), (raw, NEW_IDENTITY)):
        with pytest.raises(ArchiveDamagedError):
            rekey(each, [NEW_RECIPIENT], identity)
    with pytest.raises(ArchiveFormatError):
        rekey(b"\x00" * 64, [NEW_RECIPIENT])
    with pytest.raises(ConfigError):
        rekey(raw, [])


def test_what_must_stand_alone_is_not_joined() -> None:
    sink = io.BytesIO()
    with seal_age(sink, [PassphraseRecipient("correct horse", log_n=4)]) as writer:
        writer.write(b"images")
    with pytest.raises(ConfigError, match="only recipient"):
        added(sink.getvalue(), [NEW_RECIPIENT], PassphraseIdentity("correct horse"))
    with pytest.raises(ConfigError, match="only recipient"):
        added(sealed(1), [PassphraseRecipient("correct horse", log_n=4)])
    assert opened(
        replaced(sink.getvalue(), [NEW_RECIPIENT], PassphraseIdentity("correct horse")), NEW_IDENTITY
    )


def test_post_quantum_and_classical_recipients_are_not_joined() -> None:
    mixed = added(sealed(1), [HybridIdentity(bytes(32)).recipient])
    assert opened(mixed, HybridIdentity(bytes(32))) == payload(1)
    with pytest.raises(ConfigError, match="not mixed"):
        added(mixed, [RECOVERY.recipient])


def test_progress_ends_at_the_whole() -> None:
    told: list[Progress] = []
    add_recipients(
        io.BytesIO(sealed(3 * CHUNK)), io.BytesIO(), [IDENTITY], [NEW_RECIPIENT], report=told.append
    )
    assert {(each.step, each.total) for each in told} == {("rekeying", len(sealed(3 * CHUNK)))}
    assert told[-1].done == len(sealed(3 * CHUNK))
    assert [each.done for each in told] == sorted(each.done for each in told)
    told.clear()
    size = 40 * CHUNK  # more than is sealed in one go
    replace_recipients(
        io.BytesIO(sealed(size)), io.BytesIO(), [IDENTITY], [NEW_RECIPIENT], report=told.append
    )
    assert {(each.step, each.total) for each in told} == {("rekeying", size)}
    assert len(told) > 1
    assert [each.done for each in told] == sorted({each.done for each in told})
    assert told[-1].done == size


def test_what_is_before_the_file_does_not_count() -> None:
    told: list[Progress] = []
    source = io.BytesIO(b"elsewhere" + sealed(CHUNK))
    source.seek(len(b"elsewhere"))
    add_recipients(source, io.BytesIO(), [IDENTITY], [NEW_RECIPIENT], report=told.append)
    assert told[-1].total == len(sealed(CHUNK))


def test_key_ids_stay_in_order() -> None:
    raw = added(added(sealed(1), [NEW_RECIPIENT]), [FragmentRecipient("a", NEW)], NEW_IDENTITY)
    assert [each.arguments[0] for each in read_header(io.BytesIO(raw)).stanzas] == [KEY_ID, "fleet-8", "a"]
    assert opened(raw, FragmentIdentity(FRAGMENT)) == payload(1)
