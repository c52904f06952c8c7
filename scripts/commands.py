"""The program's commands as plain rows: what the reference page, and whatever else shows them, is made of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import click

from binary_split.cli.main import cli

PROGRAM = "binary-split"
_Item = TypeVar("_Item", bound=click.Parameter)
_ENVIRONMENT = re.compile(r"\s*\[env: (\w+)\]")  # how a help names the variable that `config` reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """What a command takes by its place."""

    metavar: str
    is_required: bool
    is_repeatable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a command takes by a name.

    Attributes:
        names: as they are typed, such as ``-o`` and ``--out``.
        metavar: what stands for the value; empty for a flag.
        help: one line, without the variable's name.
        environment: the variable that is read where the option is not given.
        default: as it would be typed; None where there is none.
        choices: every value that is taken; empty where any is.
        bounds: of a number, in words; empty where there are none.
    """

    names: tuple[str, ...]
    metavar: str
    help: str
    environment: str | None
    default: str | None
    choices: tuple[str, ...]
    bounds: str
    is_required: bool
    is_repeatable: bool

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command, or a group of them.

    Attributes:
        path: the words that are typed, the program's name first.
        usage: what follows them, such as ``[OPTIONS] ARCHIVE``.
        summary: one line.
        paragraphs: the help, each without line breaks.
        commands: what the group holds; empty for a command.
    """

    path: tuple[str, ...]
    usage: str
    summary: str
    paragraphs: tuple[str, ...]
    arguments: tuple[Argument, ...]
    options: tuple[Option, ...]
    commands: tuple[Command, ...]

    @property
    def name(self) -> str:
        """The whole of it, as it is typed."""
        return " ".join(self.path)

    def walk(self) -> Iterator[Command]:
        """Yield this command and all below it, parents first."""
        yield self
        for command in self.commands:
            yield from command.walk()


def read_commands(root: click.Command = cli, program: str = PROGRAM) -> Command:
    """Return the program with everything below it. Hidden commands and options are left out."""
    return _describe(root, click.Context(root, info_name=program), (program,))


def _describe(command: click.Command, context: click.Context, path: tuple[str, ...]) -> Command:
    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    paragraphs = tuple(" ".join(part.split()) for part in text.split("\n\n") if part.strip())
    return Command(
        path=path,
        usage=" ".join(command.collect_usage_pieces(context)),
        summary=command.get_short_help_str(limit=200),
        paragraphs=paragraphs,
        arguments=tuple(_argument(item, context) for item in _visible(command, click.Argument)),
        options=tuple(_option(item, context) for item in _visible(command, click.Option)),
        commands=tuple(_below(command, context, path)),
    )


def _below(command: click.Command, context: click.Context, path: tuple[str, ...]) -> Iterator[Command]:
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None and not child.hidden:
            below = click.Context(child, info_name=name, parent=context)
            yield _describe(child, below, (*path, name))


def _visible(command: click.Command, kind: type[_Item]) -> Iterator[_Item]:
    for item in command.params:
        if isinstance(item, kind) and not getattr(item, "hidden", False):
            yield item


def _argument(item: click.Argument, context: click.Context) -> Argument:
    metavar = item.make_metavar(context).strip("[].")
    return Argument(metavar=metavar, is_required=item.required, is_repeatable=item.nargs < 0)


def _option(item: click.Option, context: click.Context) -> Option:
    text = item.help or ""
    named = _ENVIRONMENT.search(text)
    declared = item.envvar if isinstance(item.envvar, str) else None
    return Option(
        names=(*item.opts, *item.secondary_opts),
        metavar="" if item.is_flag else item.make_metavar(context).replace("INTEGER RANGE", "N"),
        help=" ".join(_ENVIRONMENT.sub("", text).split()),
        environment=named[1] if named else declared,
        default=_default(item),
        choices=_choices(item),
        bounds=_bounds(item),
        is_required=item.required,
        is_repeatable=item.multiple,
    )


def _default(item: click.Option) -> str | None:
    default = item.to_info_dict()["default"]
    if item.is_flag or item.multiple or default is None or callable(default):
        return None
    return str(default)


def _choices(item: click.Option) -> tuple[str, ...]:
    return tuple(map(str, item.type.choices)) if isinstance(item.type, click.Choice) else ()


def _bounds(item: click.Option) -> str:
    if not isinstance(item.type, click.IntRange):
        return ""
    return f"{item.type.min} or more" if item.type.max is None else f"{item.type.min} to {item.type.max}"
