"""The page on the library: every public name of ``binary_split``, its signature and what it promises."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import binary_split
from binary_split import errors
from binary_split.errors import BinarySplitError
from scripts.reference_page import code, head, plain, table

_ERRORS = """
## binary_split.errors

What the functions raise, and whatever else of binary-split does. Every class has `code`, `exit_code`,
`retryable` and `hint` ([exit codes](../exit-codes.md)). Catch `BinarySplitError` for all of them.

"""


def serialise() -> str:
    """Return the page."""
    parts = [head("The library", "`binary_split`"), f"\n{_paragraphs(binary_split)}\n"]
    for name in binary_split.__all__:
        value = getattr(binary_split, name)
        if inspect.isfunction(value):
            parts.append(_function(name, value))
    parts.append(f"\n## API_SERVICES\n\n`list[str]`: {', '.join(map(code, binary_split.API_SERVICES))}.\n")
    parts.append("\n## \\_\\_version\\_\\_\n\n`str`: the version.\n")
    parts += [_ERRORS, table(("class", "is a", "when"), _rows())]
    return "".join(parts)


def _function(name: str, function: object) -> str:
    signature = inspect.signature(function, eval_str=True)  # type: ignore[arg-type]
    return f"\n## {name}\n\n```python\ndef {name}{signature}: ...\n```\n\n{_documentation(function)}\n"


def _documentation(value: object) -> str:
    """Return a docstring: paragraphs as they are, its sections as lists."""
    lines: list[str] = []
    for block in (inspect.getdoc(value) or "").split("\n\n"):
        first, _, rest = block.partition("\n")
        if first in {"Args:", "Returns:", "Raises:"}:
            lines.append(f"{first}\n" + "".join(f"- {plain(item)}\n" for item in _items(rest)))
        else:
            lines.append(plain(block) + "\n")
    return "\n".join(lines).rstrip("\n")


def _items(section: str) -> Iterator[str]:
    """Yield what stands at the first level, each with its continuation."""
    pending = ""
    for line in section.splitlines():
        if line.startswith("     ") and pending:
            pending += f" {line}"
        else:
            if pending:
                yield pending
            pending = line
    if pending:
        yield pending


def _paragraphs(value: object) -> str:
    return "\n\n".join(plain(part) for part in (inspect.getdoc(value) or "").split("\n\n"))


def _rows() -> Iterator[tuple[str, str, str]]:
    for name, error in sorted(vars(errors).items()):
        if isinstance(error, type) and issubclass(error, BinarySplitError):
            parents = ", ".join(code(base.__name__) for base in error.__bases__)
            yield code(name), parents, plain((error.__doc__ or "").strip().splitlines()[0])
