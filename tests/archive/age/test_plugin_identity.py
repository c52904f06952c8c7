"""The identity that names a fragment: one spelling, no other plugin's name, no secret."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binary_split.archive.age import Stanza, parse_identities, parse_identity
from binary_split.archive.age.bech32 import encode_bech32
from binary_split.archive.age.plugin_identity import (
    FragmentFile,
    FragmentLocation,
    LocatedIdentity,
    ServedFragment,
    identity_file_text,
    is_plugin_identity,
    parse_plugin_identity,
    serialise_plugin_identity,
)
from binary_split.config import LIMITS
from binary_split.errors import ConfigError, SecretFileError
from binary_split.model import Fragment
from tests.archive.age.kit import FRAGMENT, KEY_ID, sealed

PREFIX = "age-plugin-binary-split-"
SERVED = ServedFragment("https://keys.example:8443/api", "/etc/token", KEY_ID, "/etc/ca.pem")
PATHS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"]), max_size=60).map("/".__add__)
LOCATIONS: st.SearchStrategy[FragmentLocation] = st.one_of(
    st.builds(FragmentFile, PATHS, st.none() | st.just("k.1")),
    st.builds(
        ServedFragment, st.just("https://k.example"), PATHS, st.none() | st.just("k"), st.none() | PATHS
    ),
)


def encode(document: bytes, *, prefix: str = PREFIX) -> str:
    return encode_bech32(prefix, document).upper()


@given(LOCATIONS)
def test_what_is_written_is_read_again(location: FragmentLocation) -> None:
    text = serialise_plugin_identity(location)
    assert text == text.upper()
    assert text.startswith("AGE-PLUGIN-BINARY-SPLIT-1")
    assert is_plugin_identity(text)
    assert parse_plugin_identity(text) == location


def test_the_document_is_canonical_json() -> None:
    document = b'{"fragment_file":"/k","key_id":"fleet-7"}'
    assert serialise_plugin_identity(FragmentFile("/k", KEY_ID)) == encode(document)


def test_a_path_is_written_as_utf_8_and_not_escaped() -> None:
    document = '{"fragment_file":"/ключ"}'.encode()
    assert serialise_plugin_identity(FragmentFile("/ключ")) == encode(document)


def test_a_key_service_without_tls_may_be_named_for_what_is_on_this_machine() -> None:
    here = ServedFragment("http://127.0.0.1:8080", "/etc/token")
    assert parse_plugin_identity(serialise_plugin_identity(here)) == here


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b'"/k"',
        b"\xff",
        b"[" * 3000,
        b"1" * 4096,
        b'{"fragment_file":"/k" }',
        b'{"key_id":"a","fragment_file":"/k"}',
        b'{"fragment_file":"/k","fragment_file":"/l"}',
        b'{"fragment_file":"/k","extra":"x"}',
        b'{"fragment_file":"/k","token_file":"/t"}',
        b'{"fragment_file":"/k","key_id":null}',
        b'{"fragment_file":5}',
        b'{"fragment_file":"k"}',
        b'{"fragment_file":"/\\u006b"}',
        b'{"fragment_file":"/k\\n# key id: x"}',
        b'{"fragment_file":"/k\\u0000"}',
        b'{"fragment_file":"/\\ud800"}',
        b'{"fragment_file":"/k","key_id":"../x"}',
        b'{"key_service":"https://k.example"}',
        b'{"key_service":"https://k.example","token_file":"t"}',
        b'{"key_service":"https://user:pw@k.example","token_file":"/t"}',
        b'{"key_service":"https://k.example?t=1","token_file":"/t"}',
        b'{"key_service":"file:///etc","token_file":"/t"}',
        b'{"key_service":"https://","token_file":"/t"}',
        b'{"ca_file":"ca.pem","key_service":"https://k.example","token_file":"/t"}',
    ],
)
def test_no_other_document_is_read(document: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_plugin_identity(encode(document))


@pytest.mark.fault(16)
@pytest.mark.parametrize(
    "name", ["", "../x-", "/bin/sh-", "..-", "binary-split/../x-", "yubikey-", "binary_split-"]
)
def test_a_plugin_name_other_than_ours_is_refused_and_never_executed(name: str) -> None:
    text = encode(b'{"fragment_file":"/k"}', prefix=f"age-plugin-{name}")
    with pytest.raises(ConfigError):
        parse_plugin_identity(text)
    assert not is_plugin_identity(text)
    with pytest.raises(SecretFileError):
        parse_identity(text)
    with pytest.raises(SecretFileError):
        parse_identities(f"# comment\n{text}\n")


def test_only_the_upper_case_spelling_is_read() -> None:
    text = serialise_plugin_identity(SERVED)
    for other in (text.lower(), text[:30] + text[30:].lower(), text[:-1], text + "Q", " " + text):
        with pytest.raises(ConfigError):
            parse_plugin_identity(other)


def test_what_is_too_long_is_refused_both_ways() -> None:
    with pytest.raises(ConfigError):
        serialise_plugin_identity(FragmentFile("/" + "k" * LIMITS.age_location_bytes))
    document = b'{"fragment_file":"/' + b"k" * LIMITS.age_location_bytes + b'"}'
    with pytest.raises(ConfigError, match="too long"):
        parse_plugin_identity(encode(document))
    with pytest.raises(ConfigError):
        parse_plugin_identity(encode(document * 3))


def test_what_is_not_utf_8_is_refused() -> None:
    with pytest.raises(ConfigError):
        serialise_plugin_identity(FragmentFile("/\udcff"))


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_foreign(document: bytes) -> None:
    with contextlib.suppress(ConfigError):
        parse_plugin_identity(encode(document))


def test_the_identity_file_says_in_comments_what_the_identity_holds() -> None:
    lines = identity_file_text(SERVED, created="2026-01-01T00:00:00Z").splitlines()
    assert lines[:-1] == [
        "# created: 2026-01-01T00:00:00Z",
        "# ca file: /etc/ca.pem",
        "# key id: fleet-7",
        "# key service: https://keys.example:8443/api",
        "# token file: /etc/token",
    ]
    assert parse_plugin_identity(lines[-1]) == SERVED


def test_a_fragment_is_fetched_once_and_only_where_a_stanza_asks_for_it() -> None:
    from binary_split.archive.age import parse_header
    from tests.archive.age.kit import header_size

    asked: list[FragmentLocation] = []

    def fetch(location: FragmentLocation) -> Fragment:
        asked.append(location)
        return FRAGMENT

    stanzas = parse_header(sealed(3)[: header_size(sealed(3))]).stanzas
    other = LocatedIdentity(FragmentFile("/k", "other"), fetch)
    assert other.unwrap(stanzas) is None
    mine = LocatedIdentity(FragmentFile("/k", KEY_ID), fetch)
    assert mine.unwrap([Stanza("X25519", ("a",), bytes(32))]) is None
    assert asked == []
    assert len(mine.unwrap(stanzas) or b"") == 16
    assert len(mine.unwrap(stanzas) or b"") == 16
    assert asked == [mine.location]
