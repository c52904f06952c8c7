"""Numbers as people read them."""

from __future__ import annotations

import pytest

from binary_split.sizes import format_count, format_size


@pytest.mark.parametrize(("count", "words"), [(0, "0 images"), (1, "1 image"), (2, "2 images")])
def test_one_thing_is_one(count: int, words: str) -> None:
    assert format_count(count, "image") == words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (7 << 30, "7.0 GiB")],
)
def test_a_size_has_the_unit_that_suits_it(size: int, words: str) -> None:
    assert format_size(size) == words
