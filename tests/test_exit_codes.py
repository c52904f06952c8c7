"""Each error has its own exit code and name, and the page about them is what they are."""

from __future__ import annotations

from typing import cast

import pytest

from binary_split.errors import ArchiveDamagedError, BinarySplitError
from scripts import exit_codes

_kept_alive: list[type] = []  # a class knows its children by weak references only


def error_tree(**attributes: object) -> type[BinarySplitError]:
    """Make a root and one error outside the product's own tree, which must stay as it is."""

    class RootError(Exception):
        """Text."""

        code = "error"
        exit_code = 1
        retryable = False
        hint = ""

    _kept_alive.append(type("NewError", (RootError,), {"__doc__": "Text.", **attributes}))
    return cast("type[BinarySplitError]", RootError)


def test_the_page_is_up_to_date() -> None:
    assert exit_codes.main(["--check"]) == 0


def test_every_error_is_on_the_page_with_its_code() -> None:
    rows = {row.name: row for row in exit_codes.collect()}
    assert rows["ArchiveDamagedError"].exit_code == ArchiveDamagedError.exit_code == 12
    assert rows["ArchiveDamagedError"].code == "archive-damaged"
    assert "| 12 | `archive-damaged` |" in exit_codes.PAGE.read_text(encoding="utf-8")
    assert {0, 1, 2, 130, 141} <= {row.exit_code for row in exit_codes.collect()}


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ({"code": "new", "exit_code": 2}, "exit_code 2 belongs to"),
        ({"code": "error", "exit_code": 99}, "code error belongs to"),
        ({"code": "new"}, "has no code or exit_code of its own"),
        ({"exit_code": 99}, "has no code or exit_code of its own"),
        ({"code": "new", "exit_code": 99, "__doc__": None}, "has no docstring"),
    ],
)
def test_a_code_that_is_not_its_own_is_refused(attributes: dict[str, object], complaint: str) -> None:
    with pytest.raises(exit_codes.RegistryError, match=complaint):
        exit_codes.collect(error_tree(**attributes))
