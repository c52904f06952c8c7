"""`scripts.commands` says of the program what the program says of itself."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from binary_split.cli.main import cli
from scripts.commands import Command, read_commands

PROGRAM = read_commands()


@pytest.mark.parametrize("command", list(PROGRAM.walk()), ids=lambda command: command.name)
def test_the_help_of_each_command_names_what_its_row_names(command: Command) -> None:
    shown = CliRunner().invoke(
        cli, [*command.path[1:], "--help"], prog_name="binary-split", terminal_width=200
    )

    assert shown.exit_code == 0
    words = [
        *(name for option in command.options for name in option.names),
        *(child.path[-1] for child in command.commands),
    ]
    assert [word for word in (command.usage, *words) if word not in shown.output] == []


def test_what_is_hidden_is_left_out_and_defaults_are_what_is_typed() -> None:
    hidden = click.Command("secret", hidden=True)
    options: list[click.Parameter] = [
        click.Option(["--port"], type=click.IntRange(0, 9), default=8, help="A port."),
        click.Option(["--name"], help="A name [env: BINARY_SPLIT_NAME]."),
        click.Option(["--debug"], is_flag=True, hidden=True),
    ]
    found = read_commands(
        click.Group("g", {"secret": hidden, "do": click.Command("do", params=options)}), "g"
    )

    (do,) = found.commands
    port, name = do.options
    assert (port.default, port.metavar, port.bounds, port.is_flag) == ("8", "N", "0 to 9", False)
    assert (name.default, name.environment, name.help) == (None, "BINARY_SPLIT_NAME", "A name.")
    assert name.bounds == ""
