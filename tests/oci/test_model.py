"""References and digests have one form each, and a fragment is shown by nothing."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binary_split.errors import ImageReferenceError
from binary_split.model import Digest, Fragment, ImageRef

HEX = "0123456789abcdef" * 4
SECRET = b"SECRET-fragment-bytes-0123456789"

REFERENCES = {
    "azaion/flights:1.0.0": ("azaion/flights", "1.0.0"),
    "azaion/flights": ("azaion/flights", "latest"),
    "docker.io/azaion/flights:1": ("azaion/flights", "1"),
    "index.docker.io/azaion/flights:1": ("azaion/flights", "1"),
    "alpine": ("alpine", "latest"),
    "library/alpine": ("alpine", "latest"),
    "docker.io/library/alpine:3": ("alpine", "3"),
    "docker.io/alpine:3": ("alpine", "3"),
    "docker.io/library/azaion/flights:1": ("library/azaion/flights", "1"),
    "registry.example:5000/a/b": ("registry.example:5000/a/b", "latest"),
    "registry.example:5000/a/b:x": ("registry.example:5000/a/b", "x"),
    "localhost/a:1": ("localhost/a", "1"),
    "localhost:5000/library/a:1": ("localhost:5000/library/a", "1"),
    "a__b/c-d/e.f---g:A_B.c-d": ("a__b/c-d/e.f---g", "A_B.c-d"),
    "a:" + "t" * 128: ("a", "t" * 128),
    "n" * 255 + ":1": ("n" * 255, "1"),
}

NO_REFERENCES = [
    "",
    ":",
    ":1",
    "a:",
    "a b",
    "a\n",
    "a:1\n",
    "\ta",
    "A",
    "a/B",
    "a//b",
    "/a",
    "a/",
    "a..b",
    "a___b",
    "-a",
    "a-",
    "a:.x",
    "a:-x",
    "a:" + "t" * 129,
    "n" * 256,
    f"a@sha256:{HEX}",
    f"a:1@sha256:{HEX}",
    "a:1:2",
    "../a",
    "<script>",
    "ä:1",
    "a:1\x1b[31m",
    "docker.io/",
    "docker.io/library/",
    "docker.io/docker.io/a",
    "docker.io/index.docker.io/a",
    "docker.io/localhost/a",
    "docker.io/registry.example:5000/a",
]

CANONICAL = {
    "azaion/flights": "docker.io/azaion/flights",
    "alpine": "docker.io/library/alpine",
    "localhost/a": "localhost/a",
    "registry.example/a/b": "registry.example/a/b",
    "host:5000/a": "host:5000/a",
    "HOST/a": "HOST/a",
    "library/a/b": "docker.io/library/a/b",
}


@pytest.mark.parametrize(("text", "expected"), REFERENCES.items())
def test_a_reference_has_one_familiar_form(text: str, expected: tuple[str, str]) -> None:
    ref = ImageRef.parse(text)
    assert (ref.name, ref.tag) == expected
    assert ImageRef.parse(str(ref)) == ref
    assert ImageRef.parse(f"{ref.canonical_name}:{ref.tag}") == ref


@pytest.mark.parametrize("text", NO_REFERENCES)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(ImageReferenceError, match="not an image reference"):
        ImageRef.parse(text)


def test_what_is_refused_is_repeated_in_a_bounded_and_harmless_form() -> None:
    with pytest.raises(ImageReferenceError) as caught:
        ImageRef.parse("\x1b[31m" + "A" * 10_000)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_only_a_reference_without_a_tag_gets_the_default() -> None:
    assert str(ImageRef.parse("a", default_tag="1.0")) == "a:1.0"
    assert str(ImageRef.parse("a:2", default_tag="1.0")) == "a:2"
    assert str(ImageRef.parse("host:5000/a", default_tag="1.0")) == "host:5000/a:1.0"
    with pytest.raises(ImageReferenceError):
        ImageRef.parse("a", default_tag="no tag")


@pytest.mark.parametrize(("name", "expected"), CANONICAL.items())
def test_the_canonical_name_states_the_registry(name: str, expected: str) -> None:
    assert ImageRef.parse(name).canonical_name == expected


COMPONENT = st.sampled_from(["library", "a", "docker.io", "localhost", "h.example", "azaion", "x_y"])


@given(st.lists(COMPONENT, min_size=1, max_size=4).map("/".join), st.sampled_from(["", ":1", ":latest"]))
def test_parsing_the_written_form_gives_the_same_reference(name: str, tag: str) -> None:
    try:
        ref = ImageRef.parse(name + tag)
    except ImageReferenceError:
        return
    assert ImageRef.parse(str(ref)) == ref


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        ImageRef.parse(text)
    except ImageReferenceError:
        return


def test_a_digest_has_one_form() -> None:
    digest = Digest.parse(f"sha256:{HEX}")
    assert digest.hex == HEX
    assert str(digest) == f"sha256:{HEX}"
    assert digest == Digest(HEX)
    assert len({digest, Digest(HEX)}) == 1


NO_DIGESTS = [
    "",
    HEX,
    f"sha256:{HEX[1:]}",
    f"sha256:{HEX}0",
    f"sha256:{HEX.upper()}",
    f"sha512:{HEX}{HEX}",
    f"sha256:{HEX}\n",
    f" sha256:{HEX}",
    f"SHA256:{HEX}",
    "sha256:" + "g" * 64,
    "sha256:" + "\N{ARABIC-INDIC DIGIT ZERO}" * 64,
]


@pytest.mark.parametrize("text", NO_DIGESTS)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ImageReferenceError, match="not a digest"):
        Digest.parse(text)


def test_a_fragment_is_shown_by_nothing() -> None:
    fragment = Fragment(SECRET)
    shown = [
        repr(fragment),
        str(fragment),
        f"{fragment}",
        f"{fragment!r:>50}",
    ]
    shown += [repr([fragment]), repr({"key": (fragment,)}), str(ValueError(fragment))]
    shown.append(logging.LogRecord("x", 10, "x", 1, "%s", (fragment,), None).getMessage())
    for text in shown:
        assert "SECRET" not in text
        assert SECRET.hex() not in text
    assert "Fragment(<32 bytes>)" in shown[0]


@pytest.mark.fault(38)
def test_a_traceback_with_locals_does_not_show_a_fragment() -> None:
    def fail(fragment: Fragment) -> None:
        raise ValueError(fragment)

    with pytest.raises(ValueError, match="32 bytes") as caught:
        fail(Fragment(SECRET))
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = [frames.stack[-1].locals, str(frames), repr(caught.value)]
    assert "SECRET" not in repr(shown)


def test_a_fragment_is_not_pickled_or_copied() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(Fragment(SECRET), protocol)
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(Fragment(SECRET))
    assert not hasattr(Fragment(SECRET), "__dict__")


def test_a_fragment_reveals_exactly_its_bytes() -> None:
    fragment = Fragment(SECRET)
    assert fragment.reveal() == SECRET
    assert len(fragment) == len(SECRET)
