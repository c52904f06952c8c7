"""Numbers as people read them."""

from __future__ import annotations

import pytest

from binary_split.errors import ConfigError
from binary_split.sizes import format_count, format_size, parse_duration, parse_rate


@pytest.mark.parametrize(("count", "words"), [(0, "0 images"), (1, "1 image"), (2, "2 images")])
def test_one_thing_is_one(count: int, words: str) -> None:
    assert format_count(count, "image") == words


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (7 << 30, "7.0 GiB")],
)
def test_a_size_has_the_unit_that_suits_it(size: int, words: str) -> None:
    assert format_size(size) == words


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("500k", 500_000), ("2M", 2_000_000), ("1G", 10**9)])
def test_a_rate_is_in_bytes_a_second(text: str, count: int) -> None:
    assert parse_rate(text) == count


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("6h", 21_600), ("2d", 172_800)])
def test_a_time_has_its_unit(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "1 k", "1.5M", "fast", "1K", "1\n"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a rate"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["", "0s", "90", "-1s", "1 h", "1.5h", "soon", "1h\n"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a time"):
        parse_duration(text)
