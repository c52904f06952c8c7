"""Both state machines, transcript by transcript, against a client that is a few bytes."""

from __future__ import annotations

import base64
import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binary_split.archive.age import FragmentRecipient, Stanza, generate_identity_text, parse_header
from binary_split.archive.age.header import StanzaParser
from binary_split.archive.age.intake import Intake
from binary_split.archive.age.plugin_channel import Channel
from binary_split.archive.age.plugin_identity import FragmentFile, FragmentLocation, serialise_plugin_identity
from binary_split.archive.age.plugin_protocol import refuse_recipient_v1, run_identity_v1
from binary_split.config import LIMITS
from binary_split.errors import (
    BinarySplitError,
    KeyServiceUnreachableError,
    PluginProtocolError,
)
from binary_split.model import Fragment
from tests.archive.age.kit import FRAGMENT, KEY_ID, Pipe, header_size, sealed

FILE_KEY = bytes(range(100, 116))
(MINE,) = FragmentRecipient(KEY_ID, FRAGMENT).wrap(FILE_KEY)
FOREIGN = Stanza("X25519", ("share",), bytes(32))
GREASE = Stanza("zzz-grease", ("one", "two"), b"anything" * 20)
DONE = Stanza("done", (), b"")
OK = Stanza("ok", (), b"")


def identity(key_id: str | None = KEY_ID, *, path: str = "/fragment") -> Stanza:
    return Stanza("add-identity", (serialise_plugin_identity(FragmentFile(path, key_id)),), b"")


def about(stanza: Stanza, index: str = "0") -> Stanza:
    return Stanza("recipient-stanza", (index, stanza.kind, *stanza.arguments), stanza.body)


def describe(error: BinarySplitError) -> str:
    return f"{error.code}: {error}"


class Talk:
    """One conversation with a client that says all it has to say at once."""

    def __init__(self, fragment: Fragment = FRAGMENT) -> None:
        self.fragment = fragment
        self.fetched: list[FragmentLocation] = []
        self.failure: BinarySplitError | None = None
        self.sink = io.BytesIO()

    def fetch(self, location: FragmentLocation) -> Fragment:
        self.fetched.append(location)
        if self.failure is not None:
            raise self.failure
        return self.fragment

    def channel(self, raw: bytes) -> Channel:
        return Channel(Pipe(raw, at_most=1000), self.sink)

    def unwrap(self, *request: Stanza, answers: tuple[Stanza, ...] = (OK,) * 20) -> list[Stanza]:
        raw = b"".join(each.serialise() for each in (*request, DONE, *answers))
        self.sound = run_identity_v1(self.channel(raw), self.fetch, describe)
        return self.said()

    def said(self) -> list[Stanza]:
        intake = Intake(io.BytesIO(self.sink.getvalue()))
        parser = StanzaParser(intake, LIMITS, max_bytes=1 << 20)
        stanzas = []
        while not intake.at_end():
            stanzas.append(parser.parse_stanza(parser.next_line()))
        return stanzas


def test_a_transcript_byte_by_byte() -> None:
    body = base64.b64encode(MINE.body).decode().rstrip("=")
    request = (
        f"-> add-identity {identity().arguments[0]}\n\n"
        "-> abc-grease\nAAAA\n"
        f"-> recipient-stanza 0 binary-split {' '.join(MINE.arguments)}\n{body}\n"
        "-> done\n\n"
        "-> ok\n\n"
    )
    talk = Talk()
    assert run_identity_v1(talk.channel(request.encode()), talk.fetch, describe)
    key = base64.b64encode(FILE_KEY).decode().rstrip("=")
    assert talk.sink.getvalue() == f"-> file-key 0\n{key}\n-> done\n\n".encode()


def test_each_file_gets_its_key_and_the_fragment_is_fetched_once() -> None:
    other_key = bytes(16)
    (other,) = FragmentRecipient(KEY_ID, FRAGMENT).wrap(other_key)
    talk = Talk()
    said = talk.unwrap(
        about(FOREIGN), identity(), about(MINE), about(GREASE), about(FOREIGN, "1"), about(other, "7"), GREASE
    )
    assert said == [Stanza("file-key", ("0",), FILE_KEY), Stanza("file-key", ("7",), other_key), DONE]
    assert len(talk.fetched) == 1
    assert talk.sound


def test_a_file_that_is_sealed_for_nobody_of_ours_costs_no_fetch_and_no_word() -> None:
    talk = Talk()
    assert talk.unwrap(identity(), about(FOREIGN), about(GREASE)) == [DONE]
    assert talk.fetched == []
    assert talk.sound


def test_another_key_id_costs_no_fetch_and_is_said_in_passing() -> None:
    talk = Talk()
    said = talk.unwrap(identity("other"), about(MINE))
    assert [each.kind for each in said] == ["msg", "done"]
    assert talk.fetched == []


def test_one_file_key_per_file_whatever_many_identities_open_it() -> None:
    said = Talk().unwrap(identity(), identity(None), identity("other"), about(MINE), about(MINE))
    assert said == [Stanza("file-key", ("0",), FILE_KEY), DONE]


def test_a_wrong_fragment_under_the_right_key_id_is_an_error_of_the_stanza() -> None:
    talk = Talk(Fragment(bytes(32)))
    said = talk.unwrap(identity(), about(FOREIGN), about(MINE))
    words = b"archive-damaged: wrong fragment or damaged archive"
    assert said == [Stanza("error", ("stanza", "0", "1"), words), DONE]
    assert not talk.sound


def test_a_fragment_without_key_id_that_opens_nothing_leaves_other_identities_their_turn() -> None:
    said = Talk(Fragment(bytes(32))).unwrap(identity(None), about(MINE))
    assert said == [Stanza("msg", (), b"archive-damaged: wrong fragment or damaged archive"), DONE]


@pytest.mark.parametrize("answer", ["fail", "unsupported"])
def test_a_client_that_shows_no_messages_is_fine(answer: str) -> None:
    answers = (Stanza(answer, (), b""),)
    said = Talk(Fragment(bytes(32))).unwrap(identity(None), about(MINE), answers=answers)
    assert said[-1] == DONE


def test_a_fragment_that_cannot_be_fetched_is_an_error_of_the_identity_and_asked_for_once() -> None:
    talk = Talk()
    talk.failure = KeyServiceUnreachableError("no connection to keys.example")
    said = talk.unwrap(identity(), about(MINE), about(MINE, "1"))
    words = b"key-service-unreachable: no connection to keys.example"
    assert said == [Stanza("error", ("identity", "0"), words), DONE]
    assert len(talk.fetched) == 1


def test_where_one_fragment_cannot_be_fetched_another_identity_still_opens() -> None:
    talk = Talk()
    attempts = iter([KeyServiceUnreachableError("no"), None])

    def fetch(location: FragmentLocation) -> Fragment:
        talk.failure = next(attempts)
        return Talk.fetch(talk, location)

    raw = b"".join(each.serialise() for each in (identity(), identity(None), about(MINE), DONE, OK, OK))
    assert not run_identity_v1(talk.channel(raw), fetch, describe)
    assert [each.kind for each in talk.said()] == ["error", "file-key", "done"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(generate_identity_text(), id="of stock age"),
        "AGE-PLUGIN-../X-1QQQ",
        "AGE-PLUGIN-YUBIKEY-1QYDT3QPG",
        "x",
        "AGE-PLUGIN-BINARY-SPLIT-1",
    ],
)
def test_a_bad_identity_is_named_and_none_is_used(text: str) -> None:
    talk = Talk()
    said = talk.unwrap(identity(), Stanza("add-identity", (text,), b""), about(MINE))
    assert [(each.kind, each.arguments) for each in said] == [("error", ("identity", "1")), ("done", ())]
    assert text.encode() not in talk.sink.getvalue()
    assert talk.fetched == []


@pytest.mark.parametrize(
    "broken",
    [
        Stanza("binary-split", ("fleet-7",), bytes(32)),
        Stanza("binary-split", ("Fleet", MINE.arguments[1]), bytes(32)),
        Stanza("binary-split", ("fleet-7", "AAA"), bytes(32)),
        Stanza("binary-split", MINE.arguments, bytes(31)),
    ],
)
def test_a_malformed_stanza_of_ours_shuts_its_file_and_no_other(broken: Stanza) -> None:
    said = Talk().unwrap(identity(), about(MINE), about(FOREIGN), about(broken), about(MINE, "1"))
    assert [(each.kind, each.arguments) for each in said] == [
        ("error", ("stanza", "0", "2")),
        ("file-key", ("1",)),
        ("done", ()),
    ]


@pytest.mark.parametrize(
    "babble",
    [
        b"",
        b"-> add-identity x\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"-> done",
        b"-> done\r\n\r\n",
        b"->  done\n\n",
        b"-> add-identity\n\n-> done\n\n",
        b"-> add-identity a b\n\n-> done\n\n",
        b"-> recipient-stanza 0\n\n-> done\n\n",
        b"-> recipient-stanza x X25519\n\n-> done\n\n",
        b"-> recipient-stanza -1 X25519\n\n-> done\n\n",
        b"-> recipient-stanza 00 X25519\n\n-> done\n\n",
        b"-> recipient-stanza 9999999999 X25519\n\n-> done\n\n",
        b"-> recipient-stanza 1 a\n\n-> recipient-stanza 0 a\n\n-> done\n\n",
        b"-> x " + b"a " * 40 + b"\n\n-> done\n\n",
        b"-> x\n" + (b"A" * 64 + b"\n") * 400,
        b"-> " + b"a" * (LIMITS.age_header_bytes + 1),
    ],
)
def test_a_client_that_babbles_gets_one_error_and_no_fragment(babble: bytes) -> None:
    talk = Talk()
    with pytest.raises(PluginProtocolError):
        run_identity_v1(talk.channel(babble), talk.fetch, describe)
    assert [(each.kind, each.arguments) for each in talk.said()] == [("error", ("internal",)), ("done", ())]
    assert talk.fetched == []


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise_anything_foreign(raw: bytes) -> None:
    for head in (b"", b"-> ", b"-> add-identity ", b"-> recipient-stanza 0 "):
        talk = Talk()
        with pytest.raises(PluginProtocolError):
            run_identity_v1(talk.channel(head + raw), talk.fetch, describe)


def test_a_client_that_hangs_up_in_the_middle_ends_the_conversation() -> None:
    raw = identity().serialise() + about(MINE).serialise() + DONE.serialise()
    talk = Talk()
    with pytest.raises(PluginProtocolError, match="hung up"):
        run_identity_v1(talk.channel(raw), talk.fetch, describe)

    class Gone:
        def write(self, part: bytes | memoryview, /) -> int:
            raise BrokenPipeError

    with pytest.raises(PluginProtocolError, match="hung up"):
        run_identity_v1(Channel(Pipe(raw), Gone()), talk.fetch, describe)
    with pytest.raises(PluginProtocolError):
        run_identity_v1(Channel(Pipe(b"?"), Gone()), talk.fetch, describe)


def test_an_answer_that_is_none_ends_the_conversation() -> None:
    with pytest.raises(PluginProtocolError, match="no answer"):
        Talk().unwrap(identity(), about(MINE), answers=(Stanza("file-key", ("0",), b""),))


def test_the_stanzas_of_a_real_header_are_taken() -> None:
    raw = sealed(10)
    stanzas = parse_header(raw[: header_size(raw)]).stanzas
    (key, done) = Talk().unwrap(identity(), *map(about, stanzas))
    assert (key.kind, len(key.body), done) == ("file-key", 16, DONE)


def test_a_stanza_of_another_may_have_no_arguments() -> None:
    (key, _done) = Talk().unwrap(identity(), about(Stanza("future", (), b"")), about(MINE))
    assert key.body == FILE_KEY


def test_a_stanza_has_as_many_arguments_as_in_a_header() -> None:
    full = Stanza("future", ("word",) * (LIMITS.age_stanza_arguments - 1), b"")  # its type counts too
    (key, _done) = Talk().unwrap(identity(), about(full), about(MINE))
    assert key.body == FILE_KEY


@pytest.mark.parametrize(
    ("commands", "whose"),
    [
        (["wrap-file-key"], [("internal",)]),
        (
            ["add-recipient a", "extension-labels", "add-recipient b"],
            [("recipient", "0"), ("recipient", "1")],
        ),
        (["add-identity a", "zzz-grease", "add-recipient b"], [("recipient", "0"), ("identity", "0")]),
        (["add-identity a"], [("identity", "0")]),
    ],
)
def test_sealing_is_refused_for_each_recipient_and_identity(
    commands: list[str], whose: list[tuple[str, ...]]
) -> None:
    talk = Talk()
    raw = "".join(f"-> {command}\n\n" for command in [*commands, "done", "ok", "ok"])
    refuse_recipient_v1(talk.channel(raw.encode()), describe)
    said = talk.said()
    assert [each.arguments for each in said[:-1]] == whose
    assert {each.kind for each in said[:-1]} == {"error"}
    assert b"cannot seal" in said[0].body
    assert said[-1] == DONE


def test_a_babbling_client_that_would_seal_gets_one_error() -> None:
    talk = Talk()
    with pytest.raises(PluginProtocolError):
        refuse_recipient_v1(talk.channel(b"hello\n"), describe)
    assert [each.kind for each in talk.said()] == ["error", "done"]


def test_all_stanzas_together_are_bounded() -> None:
    talk = Talk()
    limits = dataclasses.replace(LIMITS, age_plugin_bytes=1000)
    channel = Channel(Pipe(GREASE.serialise() * 100), talk.sink, limits=limits)
    with pytest.raises(PluginProtocolError):
        run_identity_v1(channel, talk.fetch, describe)
