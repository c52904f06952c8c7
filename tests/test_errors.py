"""The error tree is drawn as it is, and every error tells programs and people what they need."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from binary_split import errors
from binary_split.errors import BinarySplitError

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, BinarySplitError)
}
GROUPS = {kind.__base__ for kind in CLASSES.values() if kind is not BinarySplitError}
every_class = pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES.keys())


def drawn_tree() -> list[tuple[int, str]]:
    """Return the tree in the module's docstring: each class and its depth."""
    lines = re.findall(r"^((?:[│ ]   )*(?:[├└]── )?)([A-Z]\w+Error)$", errors.__doc__ or "", re.MULTILINE)
    return [(len(branch) // 4, name) for branch, name in lines]


def real_tree(kind: type[BinarySplitError] = BinarySplitError, depth: int = 0) -> list[tuple[int, str]]:
    """Return the classes of the module in the order in which they are written."""
    rows = [(depth, kind.__name__)]
    for child in CLASSES.values():
        if child.__base__ is kind:
            rows += real_tree(child, depth + 1)
    return rows


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert drawn_tree() == real_tree()
    assert len(drawn_tree()) == len(CLASSES)


def test_no_two_errors_share_a_code_or_an_exit_code() -> None:
    for attribute in ("code", "exit_code"):
        own = [vars(kind)[attribute] for kind in CLASSES.values()]
        assert len(set(own)) == len(own)


@every_class
def test_an_error_has_what_programs_need(kind: type[BinarySplitError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert kind.code == "error" or kind.__name__.lower() == kind.code.replace("-", "") + "error"
    assert 1 <= kind.exit_code < 126  # above are the shell's own and those of signals
    assert kind.exit_code != 2  # a wrong command line
    assert type(kind.retryable) is bool


@every_class
def test_an_error_says_what_to_do_about_it(kind: type[BinarySplitError]) -> None:
    if kind in GROUPS:
        assert kind.hint == ""  # what to do is known of its subclasses only
    else:
        assert re.fullmatch(r"[A-Z].*\.", kind.hint)
    assert re.match(r"[A-Z0-9`].*\.", kind.__doc__ or "")


@every_class
def test_the_exit_codes_of_a_group_stand_together(kind: type[BinarySplitError]) -> None:
    group = kind.__base__
    assert group is not None
    if group in GROUPS and group is not BinarySplitError and group is not Exception:
        assert issubclass(group, BinarySplitError)
        assert group.exit_code < kind.exit_code < group.exit_code + 20


def test_a_hint_of_its_own_replaces_that_of_the_class_for_one_error_only() -> None:
    special = errors.OutputError("cannot write", hint="Look here.")
    assert (str(special), special.hint) == ("cannot write", "Look here.")
    assert errors.OutputError("cannot write").hint == errors.OutputError.hint != "Look here."
    assert errors.OutputError("cannot write", hint="").hint == ""


def test_damage_and_a_wrong_fragment_have_the_same_words() -> None:
    assert str(errors.ArchiveDamagedError()) == "wrong fragment or damaged archive"


@every_class
def test_an_error_survives_the_way_to_another_process(kind: type[BinarySplitError]) -> None:
    error = kind("what happened")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.hint) == (kind, "what happened", kind.hint)


def test_what_can_succeed_later_is_marked_so() -> None:
    assert {kind.code for kind in CLASSES.values() if kind.retryable} == {
        "key-service-unreachable",
        "key-service-timeout",
        "rate-limited",
        "key-service-unavailable",
        "fragment-truncated",
        "unlock-busy",
        "engine-unreachable",
        "engine-timeout",
    }
