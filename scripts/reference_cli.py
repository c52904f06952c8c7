"""The page on the commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from scripts.commands import Command, Option, read_commands
from scripts.reference_page import code, head, prose, table

_INTRODUCTION = """
`--help` after a command says the same. An option comes before its variable, a variable before the
configuration file ([settings](configuration.md)). `-` as a file is stdin or stdout. A command ends with
0 or one of the [exit codes](../exit-codes.md); with `--json` or `--progress json` it prints
[JSON](../json.md).

Two more programs come with it, which others start: `docker-unlock` ([docker unlock](../docker-unlock.md)) and
`age-plugin-binary-split` ([stock age](../age-plugin.md)).
"""


def serialise() -> str:
    """Return the page."""
    sections = _sections(read_commands().commands, {})
    return "".join([head("Commands", "the commands themselves"), _INTRODUCTION, *sections])


def _sections(commands: Iterable[Command], told: dict[tuple[Command, ...], str]) -> Iterator[str]:
    """Yield the commands' sections; a group that is another one under a second name is told once."""
    for command in commands:
        below = tuple(map(_without_path, command.commands))
        if below and below in told:
            yield f"\n## {command.name}\n\n{command.summary} The same as `{told[below]}`.\n"
            continue
        told |= {below: command.name} if below else {}
        yield _section(command)
        yield from _sections(command.commands, told)


def _section(command: Command) -> str:
    if command.commands:
        rows = [(code(child.name), prose(child.summary)) for child in command.commands]
        return f"\n## {command.name}\n\n{command.summary}\n\n{table(('command', 'does'), rows)}"
    level = "##" if len(command.path) == 2 else "###"
    text = "\n\n".join(map(prose, command.paragraphs))
    options = table(("option", "", "default", "variable"), map(_row, command.options))
    return f"\n{level} {command.name}\n\n`{command.name} {command.usage}`\n\n{text}\n\n{options}"


def _row(option: Option) -> tuple[str, str, str, str]:
    names = ", ".join(code(" ".join(filter(None, (name, option.metavar)))) for name in option.names)
    required = " Required." if option.is_required else ""
    repeatable = " Repeatable." if option.is_repeatable and "repeat" not in option.help else ""
    bounds = f" {option.bounds}." if option.bounds else ""
    text = prose(option.help) + bounds + required + repeatable
    return names, text, code(option.default or ""), code(option.environment or "")


def _without_path(command: Command) -> Command:
    return replace(command, path=command.path[-1:], commands=tuple(map(_without_path, command.commands)))
