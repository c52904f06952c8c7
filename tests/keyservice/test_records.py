"""Keys and tokens: their names, their forms, and what happens when handing one over fails."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from binary_split.errors import ConfigError, OutputError, RecordError, SecretFileError
from binary_split.files import read_secret, secret_output, write_secret
from binary_split.keyservice.store import Store
from binary_split.keyservice.tokens import parse_label, parse_lifetime
from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR, Hands


@pytest.mark.parametrize("key_id", ["k", "0", "a.b_c-d", "a" * 64])
def test_a_key_id_may_be_64_of_its_characters(store: Store, key_id: str) -> None:
    store.keys.add(key_id, Fragment(b"x"))
    assert key_id in [key.key_id for key in store.keys.page().rows]


@pytest.mark.parametrize("key_id", ["", "a" * 65, "-a", ".a", "_a", "A", "a b", "a/b", "ä", "a\n", "a\x00"])
def test_any_other_key_id_is_refused(store: Store, key_id: str) -> None:
    with pytest.raises(RecordError, match="not a key-id"):
        store.keys.add(key_id, Fragment(b"x"))


def test_a_key_id_names_one_fragment_for_ever(store: Store) -> None:
    with pytest.raises(RecordError, match="exists already"):
        store.keys.add("k1", Fragment(b"another"))
    assert store.release(store.tokens.issue("k1", lifetime=HOUR).text).reveal() == FRAGMENT


def test_a_key_that_cannot_be_handed_over_is_not_stored(store: Store, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"precious")
    with pytest.raises(OutputError), secret_output(taken) as deliver:
        store.keys.add("k2", Fragment(b"x"), deliver=deliver)
    with pytest.raises(OutputError), secret_output(taken) as deliver:
        store.tokens.issue("k1", lifetime=HOUR, deliver=deliver)
    assert [key.key_id for key in store.keys.page().rows] == ["k1"]
    assert store.tokens.page().rows == ()
    assert taken.read_bytes() == b"precious"


def test_a_file_handed_over_is_taken_back_if_the_key_is_not_stored(store: Store, tmp_path: Path) -> None:
    def fail_after_handing_over() -> None:
        with secret_output(tmp_path / "f") as deliver:
            deliver(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_handing_over()
    assert list(tmp_path.glob("*f*")) == []


def test_a_secret_file_is_private_whole_and_never_over_another(tmp_path: Path) -> None:
    write_secret(tmp_path / "f", b"first")
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputError, match="exists already"):
        write_secret(tmp_path / "f", b"second")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="exists already"):
        write_secret(tmp_path / "dangling", b"third")
    with pytest.raises(OutputError, match="cannot write"):
        write_secret(tmp_path / "no" / "f", b"fourth")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "f"]
    assert (tmp_path / "f").read_bytes() == b"first"


def test_a_secret_file_that_fails_halfway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("binary_split.files.os.fsync", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_secret(tmp_path / "f", b"secret")
    assert list(tmp_path.iterdir()) == []


def test_a_fragment_file_holds_1_byte_to_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "f"
    for content in (b"\n", bytes(10)):
        file.write_bytes(content)
        assert read_secret(file, what="fragment", max_bytes=10) == content
    for content in (b"", bytes(11)):
        file.write_bytes(content)
        with pytest.raises(SecretFileError):
            read_secret(file, what="fragment", max_bytes=10)
    with pytest.raises(SecretFileError, match="cannot read"):
        read_secret(tmp_path / "none", what="fragment", max_bytes=10)


def test_a_token_has_the_prefix_and_256_random_bits(store: Store) -> None:
    issued = [store.tokens.issue("k1", lifetime=HOUR) for _ in range(20)]
    assert len({one.text for one in issued}) == len({one.record.token_id for one in issued}) == 20
    for one in issued:
        assert one.text.startswith("bsk_")
        assert len(one.text) == 4 + 43
        assert one.record.token_id.startswith("tok_")
        assert len(one.record.token_id) == 4 + 12


def test_a_token_needs_a_key_that_exists(store: Store) -> None:
    with pytest.raises(RecordError, match="there is no key"):
        store.tokens.issue("k2", lifetime=HOUR)


def test_tokens_are_listed_with_their_state(store: Store, clock: Hands) -> None:
    first = store.tokens.issue("k1", lifetime=HOUR, label="first").record
    clock.time += timedelta(seconds=1)
    second = store.tokens.issue("k1", lifetime=2 * HOUR).record
    third = store.tokens.issue("k1", lifetime=2 * HOUR).record
    store.tokens.revoke(third.token_id)
    clock.time += HOUR
    listed = {one.token_id: one.state_at(clock()) for one in store.tokens.page().rows}
    assert listed == {first.token_id: "expired", second.token_id: "active", third.token_id: "revoked"}
    assert store.tokens.page().rows[0] == first


def test_revoking_again_keeps_the_first_time(store: Store, clock: Hands) -> None:
    token_id = store.tokens.issue("k1", lifetime=HOUR).record.token_id
    first = store.tokens.revoke(token_id)
    clock.time += HOUR
    assert store.tokens.revoke(token_id) == first
    assert first.revoked == clock.time - HOUR


def test_revoking_names_an_unknown_id_but_never_repeats_a_token(store: Store) -> None:
    with pytest.raises(RecordError, match="tok_aaaaaaaaaaaa"):
        store.tokens.revoke("tok_aaaaaaaaaaaa")
    text = store.tokens.issue("k1", lifetime=HOUR).text
    with pytest.raises(RecordError) as caught:
        store.tokens.revoke(text)
    assert text not in str(caught.value) + caught.value.hint


def test_lifetimes_are_days_hours_or_minutes() -> None:
    assert parse_lifetime("90d") == timedelta(days=90)
    assert parse_lifetime("12h") == timedelta(hours=12)
    assert parse_lifetime("30m") == timedelta(minutes=30)
    for text in ("", "0d", "-1d", "1", "d", "1w", "1.5h", "1 d", "٣d", "3651d", "99999999d", "999999999d"):
        with pytest.raises(ConfigError):
            parse_lifetime(text)


def test_a_label_is_one_short_line() -> None:
    assert parse_label("Gerät 7, Halle B") == "Gerät 7, Halle B"
    for text in ("a\nb", "a\x1b[2J", "x" * 201):
        with pytest.raises(ConfigError):
            parse_label(text)
