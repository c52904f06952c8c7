"""Which tests carry which fault numbers, read from their source: no test is imported for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class MarkError(Exception):
    """A mark stands where it is not looked for, or without numbers."""


@dataclass(frozen=True, slots=True)
class MarkedTest:
    """A test function, all of its cases together."""

    name: str
    numbers: frozenset[int]
    is_long: bool  # run by `make soak` alone
    is_elsewhere: bool  # run by `make test-engines` alone


def find_marked(folder: Path) -> list[MarkedTest]:
    """Return the tests below a folder that stand for a fault; their names begin with the folder's.

    Raises:
        MarkError: a mark stands neither on a module, a class, a function nor one of its cases.
    """
    found: list[MarkedTest] = []
    for path in sorted(folder.rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if "mark.fault(" in source:
            found += _Module(path.relative_to(folder.parent).as_posix(), ast.parse(source)).tests()
    return found


class _Module:
    def __init__(self, name: str, tree: ast.Module) -> None:
        self._name = name
        self._tree = tree
        self._seen = 0

    def tests(self) -> list[MarkedTest]:
        found = list(self._below(self._tree.body, self._name, self._noted(_pytestmark(self._tree.body))))
        written = sum(_is_fault(node) for node in ast.walk(self._tree))
        if written != self._seen:
            raise MarkError(f"{self._name}: a fault mark stands on no module, class, test or case")
        return found

    def _below(self, body: Sequence[ast.stmt], name: str, above: list[ast.expr]) -> Iterator[MarkedTest]:
        for node in body:
            if isinstance(node, ast.ClassDef):
                own = self._noted([*node.decorator_list, *_pytestmark(node.body)])
                yield from self._below(node.body, f"{name}::{node.name}", [*above, *own])
            elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                marks = [*above, *self._noted(node.decorator_list)]
                numbers = frozenset(number for mark in marks for number in _numbers(mark))
                words = {ast.unparse(mark).partition("(")[0] for mark in marks}
                if numbers:
                    is_long, is_elsewhere = (
                        f"pytest.mark.{kind}" in words for kind in ("soak", "newer_engine")
                    )
                    yield MarkedTest(f"{name}::{node.name}", numbers, is_long, is_elsewhere)

    def _noted(self, marks: list[ast.expr]) -> list[ast.expr]:
        self._seen += sum(_is_fault(node) for mark in marks for node in ast.walk(mark))
        return marks


def _pytestmark(body: Sequence[ast.stmt]) -> list[ast.expr]:
    assigned = (node for node in body if isinstance(node, ast.Assign))
    values = [node.value for node in assigned if ast.unparse(node.targets[0]) == "pytestmark"]
    return [mark for value in values for mark in (value.elts if isinstance(value, ast.List) else [value])]


def _is_fault(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault"


def _numbers(mark: ast.expr) -> Iterator[int]:
    for node in ast.walk(mark):
        if isinstance(node, ast.Call) and _is_fault(node):
            numbers = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            known = [number for number in numbers if isinstance(number, int)]
            if not known or len(known) < len(node.args):
                raise MarkError(f"{ast.unparse(node)}: its numbers are to be written out")
            yield from known
