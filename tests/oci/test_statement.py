"""The release statement: it says one thing in one way, and nothing else is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError
from binary_split.model import Digest, ImageRef
from binary_split.oci.statement import ArchiveDigest, ReleaseStatement, StatedBlob, StatedImage, is_product
from tests.oci.statements import BESIDE_CBC, DETECTIONS, DOCUMENTS, FLIGHTS, LAYERS, STATEMENT, digest

BOTH = pytest.mark.parametrize("statement", [STATEMENT, BESIDE_CBC], ids=["age", "cbc"])
Edit = Callable[[dict[str, Any]], object]


def canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def edited(statement: ReleaseStatement, edit: Edit) -> bytes:
    """The statement, changed, in a form that is canonical but for the change."""
    document = json.loads(statement.serialise())
    edit(document)
    return canonical(document)


@BOTH
def test_what_is_written_is_read_as_it_was(statement: ReleaseStatement) -> None:
    assert ReleaseStatement.parse(statement.serialise()) == statement


def test_the_form_is_the_documented_one() -> None:
    one = replace(
        STATEMENT, images=(replace(FLIGHTS, diff_ids=(digest(11),)),), blobs=(*DOCUMENTS[:2], LAYERS[1])
    )
    zeros = "0" * 62
    assert one.serialise().decode() == (
        '{"_type":"https://in-toto.io/Statement/v1","predicate":{"blobs":['
        f'{{"digest":"sha256:{zeros}01","size":101}},{{"digest":"sha256:{zeros}02","size":102}},'
        f'{{"diff_id":"sha256:{zeros}0b","digest":"sha256:{zeros}14","plain_size":4096,"size":900}}],'
        '"created":"2026-01-02T03:04:05Z","images":[{'
        f'"config":"sha256:{zeros}01","diff_ids":["sha256:{zeros}0b"],"manifest":"sha256:{zeros}02",'
        '"platform":"linux/amd64","reference":"azaion/flights:1.0.0"}],'
        '"product":"azaion","sequence":7,"version":"1.0.0"},'
        '"predicateType":"urn:binary-split:release:v1",'
        f'"subject":[{{"digest":{{"sha256":"{zeros}01"}},"name":"azaion/flights:1.0.0"}}]}}'
    )


def test_beside_a_cbc_archive_the_archive_is_a_subject() -> None:
    document = json.loads(BESIDE_CBC.serialise())
    assert document["subject"][-1] == {"name": "archive", "digest": {"sha256": digest(99).hex}}
    assert document["predicate"]["archive"] == {"sha256": str(digest(99)), "size": 123_456}
    assert "archive" not in json.loads(STATEMENT.serialise())["predicate"]


@BOTH
@pytest.mark.parametrize(
    "respell",
    [
        lambda content: content + b"\n",
        lambda content: b" " + content,
        lambda content: content.replace(b",", b", "),
        lambda content: content.replace(b"azaion/flights", b"azaion\\/flights"),
        lambda content: content.replace(b'"sequence":7', b'"sequence":7.0'),
        lambda content: content.replace(b'"sequence":7', b'"sequence":1,"sequence":7'),
        lambda content: content.replace(b":05Z", b":05+00:00"),
        lambda content: content.replace(b":05Z", b":05.000Z"),
        lambda content: content.replace(b"T03:", b" 03:"),
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: json.dumps(json.loads(content), indent=1).encode(),
        lambda content: content.decode().encode("utf-16"),
    ],
)
def test_another_spelling_is_refused(statement: ReleaseStatement, respell: Callable[[bytes], bytes]) -> None:
    content = respell(statement.serialise())
    assert content != statement.serialise()
    with pytest.raises(ArchiveFormatError):
        ReleaseStatement.parse(content)


@pytest.mark.parametrize(
    "edit",
    [
        lambda doc: doc.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda doc: doc.update(predicateType="https://slsa.dev/provenance/v1"),
        lambda doc: doc.update(more=1),
        lambda doc: doc["predicate"].update(more=1),
        lambda doc: doc["predicate"]["images"][0].update(more=1),
        lambda doc: doc["predicate"]["blobs"][0].update(more=1),
        lambda doc: doc["predicate"]["archive"].update(more=1),
        lambda doc: doc["predicate"].update(archive=None),
        lambda doc: doc["subject"][0]["digest"].update(sha512="0" * 128),
        lambda doc: doc["subject"].pop(),
        lambda doc: doc["subject"].reverse(),
        lambda doc: doc["subject"][0].update(name="azaion/other:1.0.0"),
        lambda doc: doc["subject"][0]["digest"].update(sha256="f" * 64),
        lambda doc: doc["predicate"]["images"][0].update(reference="docker.io/azaion/flights:1.0.0"),
        lambda doc: doc["predicate"]["images"][0].update(reference="azaion/flights"),
        lambda doc: doc["predicate"]["images"][0].update(config="sha256:" + "A" * 64),
        lambda doc: doc["predicate"]["images"][0].update(diff_ids="sha256"),
        lambda doc: doc["predicate"]["images"][0].update(platform=None),
        lambda doc: doc["predicate"]["images"][0].update(platform="linux/\ud800"),
        lambda doc: doc["predicate"]["blobs"][0].pop("plain_size"),
        lambda doc: doc["predicate"]["blobs"][0].pop("diff_id"),
        lambda doc: doc["predicate"]["blobs"][0].update(diff_id=None),
        lambda doc: doc["predicate"]["blobs"][0].update(size=True, plain_size=True),
        lambda doc: doc["predicate"].update(sequence="7"),
        lambda doc: doc["predicate"].update(sequence=True),
        lambda doc: doc["predicate"].update(created=1_767_322_245),
        lambda doc: doc["predicate"].update(created="2026-01-02T03:04:05"),
        lambda doc: doc["predicate"].update(created="2026-01-02T03:04:05+01:00"),
        lambda doc: doc["predicate"].update(created="yesterday"),
        lambda doc: doc["predicate"].update(product=None),
        lambda doc: doc["predicate"].update(images={"reference": 1}),
        lambda doc: doc["predicate"].update(blobs=[1, 2]),
        lambda doc: doc.update(predicate=[]),
        lambda doc: doc.pop("predicate"),
    ],
)
def test_another_document_is_refused(edit: Edit) -> None:
    try:
        content = edited(BESIDE_CBC, edit)
    except UnicodeEncodeError:  # a lone surrogate can only be escaped
        document = json.loads(BESIDE_CBC.serialise())
        edit(document)
        content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ArchiveFormatError):
        ReleaseStatement.parse(content)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b"9" * 5_000])
def test_what_is_no_statement_is_refused(content: bytes) -> None:
    with pytest.raises(ArchiveFormatError):
        ReleaseStatement.parse(content)


def test_a_statement_over_the_cap_is_neither_read_nor_written() -> None:
    with pytest.raises(ArchiveFormatError, match="longer"):
        ReleaseStatement.parse(b" " * (LIMITS.statement_bytes + 1))
    layers = tuple(StatedBlob(digest(n), 1, digest(n), 1) for n in range(25_000))
    large = replace(BESIDE_CBC, blobs=layers)
    with pytest.raises(ArchiveFormatError, match="longer"):
        large.serialise()


@pytest.mark.parametrize(
    "values",
    [
        {"product": ""},
        {"product": "Azaion"},
        {"product": "-azaion"},
        {"product": "a" * 65},
        {"product": "azaion\n"},
        {"version": ""},
        {"version": "1.0.0\n"},
        {"version": "1/0"},
        {"version": "v" * 129},
        {"sequence": -1},
        {"sequence": 2**53},
        {"sequence": True},
        {"created": datetime(2026, 1, 2, 3, 4, 5)},  # noqa: DTZ001 - that is what is refused
        {"created": datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1)))},
        {"created": datetime(2026, 1, 2, 0, 0, 0, 1, tzinfo=UTC)},
        {"images": ()},
    ],
)
def test_a_value_out_of_its_bounds_is_not_written(values: dict[str, Any]) -> None:
    with pytest.raises(ArchiveFormatError):
        replace(STATEMENT, **values)


@pytest.mark.parametrize("sequence", [0, 2**53 - 1])
def test_the_smallest_and_the_largest_sequence_are_kept_exact(sequence: int) -> None:
    statement = replace(STATEMENT, sequence=sequence)
    assert ReleaseStatement.parse(statement.serialise()).sequence == sequence


def test_an_image_stated_twice_is_refused() -> None:
    with pytest.raises(ArchiveFormatError, match=r"azaion/flights:1\.0\.0 twice"):
        replace(STATEMENT, images=(FLIGHTS, DETECTIONS, replace(DETECTIONS, ref=FLIGHTS.ref)))


def test_two_references_may_name_one_image() -> None:
    latest = replace(FLIGHTS, ref=ImageRef("azaion/flights", "latest"))
    statement = replace(STATEMENT, images=(FLIGHTS, latest, DETECTIONS))
    assert ReleaseStatement.parse(statement.serialise()) == statement


def test_a_blob_stated_twice_is_refused() -> None:
    with pytest.raises(ArchiveFormatError, match=r"blob .* twice"):
        replace(STATEMENT, blobs=(*STATEMENT.blobs, LAYERS[0]))


@pytest.mark.parametrize("left_out", range(len(STATEMENT.blobs)))
def test_an_age_archive_states_every_blob_of_its_images(left_out: int) -> None:
    blobs = STATEMENT.blobs[:left_out] + STATEMENT.blobs[left_out + 1 :]
    with pytest.raises(ArchiveFormatError, match="names no blob"):
        replace(STATEMENT, blobs=blobs)


@pytest.mark.parametrize(
    "extra", [StatedBlob(digest(50), 1, None, None), StatedBlob(digest(50), 1, digest(51), 2)]
)
def test_an_age_archive_states_no_blob_that_no_image_has(extra: StatedBlob) -> None:
    with pytest.raises(ArchiveFormatError, match="no image has"):
        replace(STATEMENT, blobs=(*STATEMENT.blobs, extra))


@pytest.mark.parametrize("left_out", range(len(LAYERS)))
def test_a_cbc_archive_states_every_layer_of_its_images(left_out: int) -> None:
    with pytest.raises(ArchiveFormatError, match="names no blob for the layer"):
        replace(BESIDE_CBC, blobs=LAYERS[:left_out] + LAYERS[left_out + 1 :])


def test_an_uncompressed_layer_has_one_size() -> None:
    with pytest.raises(ArchiveFormatError, match="two sizes"):
        StatedBlob(digest(1), 5, digest(1), 6)


@pytest.mark.parametrize("size", [-1, 1.0, True, LIMITS.layer_bytes + 1])
def test_a_size_that_no_blob_has_is_refused(size: Any) -> None:
    with pytest.raises(ArchiveFormatError):
        StatedBlob(digest(1), size, None, None)
    with pytest.raises(ArchiveFormatError):
        StatedBlob(digest(1), 1, digest(2), size)


@pytest.mark.parametrize("size", [-1, True, 2**53])
def test_a_size_that_no_archive_has_is_refused(size: int) -> None:
    with pytest.raises(ArchiveFormatError):
        ArchiveDigest(digest(1), size)


@pytest.mark.parametrize("platform", ["", "linux", "linux/", "/amd64", "linux/amd64/v8/x", "linux/amd 64"])
def test_a_platform_that_is_none_is_refused(platform: str) -> None:
    with pytest.raises(ArchiveFormatError):
        replace(FLIGHTS, platform=platform)


def test_product_names() -> None:
    assert is_product("azaion")
    assert is_product("0.a_b-c")
    assert not is_product("Azaion")


digests = st.integers(0, 2**256 - 1).map(lambda number: Digest(f"{number:064x}"))
sizes = st.integers(0, LIMITS.layer_bytes)


@st.composite
def statements(draw: st.DrawFn) -> ReleaseStatement:
    layers = draw(st.lists(digests, unique=True, max_size=4))
    blobs = tuple(
        StatedBlob(name, size, name, size) for name, size in ((name, draw(sizes)) for name in layers)
    )
    diff_ids = st.lists(st.sampled_from(layers), max_size=4) if layers else st.just([])
    refs = draw(st.lists(st.sampled_from(["a", "b/c", "d/e/f"]), min_size=1, unique=True))
    images = tuple(
        StatedImage(ImageRef(f"x/{name}", "v1"), draw(digests), draw(digests), tuple(draw(diff_ids)), "a/b")
        for name in refs
    )
    return ReleaseStatement(
        product=draw(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)),
        version=draw(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)),
        sequence=draw(st.integers(0, 2**53 - 1)),
        created=draw(st.datetimes(timezones=st.just(UTC))).replace(microsecond=0),
        images=images,
        blobs=blobs,
        archive=ArchiveDigest(draw(digests), draw(st.integers(0, 2**53 - 1))),
    )


@settings(max_examples=40)
@given(statements())
def test_every_statement_survives_the_way_through_bytes(statement: ReleaseStatement) -> None:
    assert ReleaseStatement.parse(statement.serialise()) == statement


@given(st.integers(0, len(BESIDE_CBC.serialise()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_is_another_statement(at: int, flip: int) -> None:
    content = bytearray(BESIDE_CBC.serialise())
    content[at] ^= flip
    try:
        parsed = ReleaseStatement.parse(bytes(content))
    except ArchiveFormatError:
        return
    assert parsed != BESIDE_CBC
    assert parsed.serialise() == content


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@given(st.data())
def test_the_parser_raises_only_our_error(source: st.DataObject) -> None:
    document = json.loads(BESIDE_CBC.serialise())
    places: list[dict[str, Any]] = [document, document["predicate"], document["predicate"]["archive"]]
    places += [*document["subject"], *document["predicate"]["images"], *document["predicate"]["blobs"]]
    place = source.draw(st.sampled_from(places))
    place[source.draw(st.sampled_from(sorted(place)))] = source.draw(_JSON)
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    with suppress(ArchiveFormatError):
        assert ReleaseStatement.parse(content).serialise() == content


@given(st.binary())
def test_any_bytes_raise_only_our_error(content: bytes) -> None:
    with pytest.raises(ArchiveFormatError):
        ReleaseStatement.parse(content)
