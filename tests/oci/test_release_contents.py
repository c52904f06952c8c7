"""A release tar is exactly what its statement says, or it is refused: whoever sealed it."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from binary_split.config import LIMITS
from binary_split.errors import (
    ArchiveError,
    ArchiveFormatError,
    BinarySplitError,
    SignatureMissingError,
    SignatureUntrustedError,
)
from binary_split.model import Progress
from binary_split.oci.compression import Compression
from binary_split.oci.publisher_key import PrivateKey
from binary_split.oci.release_contents import ReleaseContents
from binary_split.unlock.opening import Trust
from binary_split.unlock.verifying import verify_layers
from tests.forgeries import AT_OPENING, AT_READING, resigned, wrong_diff_id
from tests.releases import (
    ANYONE,
    KEY,
    OTHER_KEY,
    TRUST,
    Parts,
    layer_names,
    make_age_release,
    pack,
    read_statement,
    replaced,
    unpack,
    with_statement,
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small signed release of two images whose layers are compressed."""
    return make_age_release(tmp_path_factory.mktemp("contents")).plain


@pytest.fixture
def parts(plain: bytes) -> Parts:
    return unpack(plain)


def open_tar(plain: bytes, trust: Trust = TRUST) -> ReleaseContents:
    contents = ReleaseContents(io.BytesIO(plain), trust.open_envelope)
    contents.verify_end()
    return contents


def read_all(plain: bytes, trust: Trust = TRUST) -> ReleaseContents:
    contents = open_tar(plain, trust)
    verify_layers(contents)
    return contents


signed_or_not = pytest.mark.parametrize(
    ("key", "trust"), [(KEY, TRUST), (None, ANYONE)], ids=["signed", "unsigned"]
)


class TestGoodInput:
    @signed_or_not
    @pytest.mark.parametrize("compression", list(Compression))
    def test_every_image_and_layer_is_found_and_proven(
        self, tmp_path: Path, compression: Compression, key: PrivateKey | None, trust: Trust
    ) -> None:
        release = make_age_release(tmp_path, compression=compression, key=key)
        contents = read_all(release.plain, trust)
        assert {ref: image.config.digest for image in contents.images for ref in image.refs} == release.pins
        assert list(contents.members) == layer_names(unpack(release.plain))
        assert contents.statement.version == "1.0.0"

    def test_a_tar_put_together_again_is_the_same(self, plain: bytes) -> None:
        assert pack(unpack(plain)) == plain

    def test_a_source_may_give_less_than_it_is_asked_for(self, plain: bytes) -> None:
        class Dripping(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(min(size or 0, 100))

        contents = ReleaseContents(Dripping(plain), TRUST.open_envelope)
        contents.verify_end()
        assert contents.statement == open_tar(plain).statement

    def test_progress_grows_to_exactly_all(self, plain: bytes) -> None:
        seen: list[Progress] = []
        contents = open_tar(plain)
        verify_layers(contents, report=seen.append)
        assert seen[-1].done == seen[-1].total == sum(each.size for each in contents.members.values())
        assert [step.done for step in seen] == sorted(step.done for step in seen)


class TestForgeries:
    @signed_or_not
    @pytest.mark.parametrize("name", AT_OPENING)
    def test_are_refused_at_opening(
        self, parts: Parts, name: str, key: PrivateKey | None, trust: Trust
    ) -> None:
        forged = AT_OPENING[name](resigned(parts, key), key)
        with pytest.raises(ArchiveError):
            open_tar(forged, trust)

    @signed_or_not
    @pytest.mark.parametrize("name", AT_READING)
    def test_of_layers_are_refused_at_reading(
        self, parts: Parts, name: str, key: PrivateKey | None, trust: Trust
    ) -> None:
        forged = AT_READING[name](resigned(parts, key), key)
        contents = open_tar(forged, trust)
        with pytest.raises(ArchiveError):
            verify_layers(contents)

    def test_that_state_a_wrong_diff_id_are_consistent_but_for_that(self, parts: Parts) -> None:
        forged = unpack(wrong_diff_id(parts, KEY))
        stated = {row["digest"] for row in read_statement(forged)["predicate"]["blobs"]}
        assert {f"sha256:{name.rpartition('/')[2]}" for name, _content in forged[4:]} == stated
        assert [content for _name, content in forged[8:]] == [content for _name, content in parts[8:]]

    def test_with_the_statement_of_another_release_are_refused(self, parts: Parts, tmp_path: Path) -> None:
        other = dict(unpack(make_age_release(tmp_path, seed=3, filler_kind="random").plain))
        with pytest.raises(ArchiveFormatError):
            open_tar(pack(replaced(parts, "release.json", other["release.json"])))


class TestSignatures:
    def test_that_are_missing_are_asked_for(self, parts: Parts) -> None:
        unsigned = pack(resigned(parts, None))
        with pytest.raises(SignatureMissingError):
            open_tar(unsigned)
        read_all(unsigned, ANYONE)

    def test_by_another_key_are_not_trusted(self, parts: Parts) -> None:
        foreign = pack(resigned(parts, OTHER_KEY))
        with pytest.raises(SignatureUntrustedError):
            open_tar(foreign)
        read_all(foreign, Trust((KEY.public_key, OTHER_KEY.public_key)))

    def test_over_another_statement_are_not_trusted(self, parts: Parts) -> None:
        statement = read_statement(parts)
        statement["predicate"]["sequence"] += 1
        changed = json.loads(dict(with_statement(parts, statement, KEY))["release.json"])
        changed["signatures"] = json.loads(dict(parts)["release.json"])["signatures"]
        envelope = json.dumps(changed, sort_keys=True, separators=(",", ":")).encode()
        with pytest.raises(SignatureUntrustedError):
            open_tar(pack(replaced(parts, "release.json", envelope)))

    def test_are_verified_before_anything_else_is_believed(self, parts: Parts) -> None:
        """Everything behind the statement is garbage, and still the signature is what is refused."""
        damaged = [(name, content if number < 2 else b"?") for number, (name, content) in enumerate(parts)]
        with pytest.raises(SignatureMissingError):
            open_tar(pack(with_statement(damaged, read_statement(parts), None)))


def key_id_bytes(plain: bytes) -> range:
    """Return where the envelope claims whose signature it is: only a hint, by the format."""
    start = plain.index(b'"keyid":"') + len(b'"keyid":"')
    return range(start, start + 64)


@settings(max_examples=300, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_a_byte_that_is_flipped_anywhere_is_refused(plain: bytes, place: float, mask: int) -> None:
    position = int(place * len(plain))
    assume(position not in key_id_bytes(plain))
    changed = bytearray(plain)
    changed[position] ^= mask
    with pytest.raises(BinarySplitError):
        read_all(bytes(changed))


def test_a_flipped_bit_in_each_record_is_refused(plain: bytes) -> None:
    for start in range(0, len(plain), 128):
        changed = bytearray(plain)
        position = start + start // 128 % 128
        changed[position] ^= 1
        if position not in key_id_bytes(plain):
            with pytest.raises(ArchiveError):
                read_all(bytes(changed))


def test_another_claimed_key_id_changes_nothing(plain: bytes) -> None:
    changed = bytearray(plain)
    for position in key_id_bytes(plain):
        changed[position] = ord("0")
    assert read_all(bytes(changed)).statement == read_all(plain).statement


@settings(max_examples=100, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True))
def test_a_tar_that_is_cut_anywhere_is_refused(plain: bytes, place: float) -> None:
    with pytest.raises(ArchiveError):
        open_tar(plain[: int(place * len(plain))])


@pytest.mark.parametrize("content", [b"", bytes(1 << 16), b"\xff" * (1 << 16), b"{}"], ids=len)
def test_what_is_no_release_at_all_is_refused(content: bytes) -> None:
    with pytest.raises(ArchiveFormatError):
        open_tar(content)


@pytest.mark.fault(21)
def test_the_head_is_bounded_before_it_is_read(parts: Parts) -> None:
    huge = pack(replaced(parts, "release.json", b" " * (7 << 20)))
    source = io.BytesIO(huge)
    with pytest.raises(ArchiveFormatError):
        ReleaseContents(source, TRUST.open_envelope)
    assert source.tell() < 10_000


def test_the_documents_are_bounded_together(plain: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("binary_split.oci.release_contents.LIMITS", replace(LIMITS, documents_bytes=500))
    with pytest.raises(ArchiveFormatError, match="more documents than any release"):
        open_tar(plain)


def test_the_envelope_holds_the_statement_in_base64(parts: Parts) -> None:
    envelope = json.loads(dict(parts)["release.json"])
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert json.loads(base64.b64decode(envelope["payload"], validate=True)) == read_statement(parts)
