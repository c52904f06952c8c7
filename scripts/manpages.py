"""Write ``docs/man`` from the command line and the settings themselves; with ``--check`` only compare."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import click

from binary_split.agent.settings import AgentSettings
from binary_split.cli import age_plugin, docker_plugin
from binary_split.cli.main import cli
from binary_split.config import Settings
from scripts.exit_codes import collect
from scripts.generated import keep
from scripts.roff import Page

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "man"
_SETTINGS_PAGE = "binary-split.toml(5)"
_VARIABLES = (
    (
        "BINARY_SPLIT_CONFIG",
        f"The configuration file, see {_SETTINGS_PAGE}. None is read where it is not set.",
    ),
    ("BINARY_SPLIT_TOKEN", "The token for the key service; a file is the better place for it."),
    ("BINARY_SPLIT_KEYSERVICE_STATE", "The key service's state folder, for the vendor's commands."),
    ("DOCKER_HOST, DOCKER_CONTEXT, CONTAINER_HOST", "Where the engine is, as docker and podman have it."),
)
_NOT_A_LINE_OF_THE_FILE = {"agent", "credentials_folder", "token"}


def make_pages() -> Iterator[Page]:
    """Give every page."""
    context = click.Context(cli, info_name="binary-split", **cli.context_settings)
    names = cli.list_commands(context)
    yield _program_page(context, names)
    for name in names:
        command = cli.get_command(context, name)
        assert command is not None
        yield _command_page(click.Context(command, parent=context, info_name=name), name)
    yield _plugin_page("age-plugin-binary-split", "let age open an archive with a fragment", age_plugin)
    yield _plugin_page("docker-unlock", "the plugin of the Docker client behind docker unlock", docker_plugin)
    yield _settings_page()


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or compare them with ``--check``."""
    pages = {FOLDER / f"man{page.section}" / page.file_name: page.serialise() for page in make_pages()}
    return keep(pages, FOLDER.glob("man*/*"), arguments)


def _program_page(context: click.Context, names: Sequence[str]) -> Page:
    page = Page("binary-split", 1, "unlock sealed container images on machines that you do not own")
    page.heading("SYNOPSIS")
    page.usage("binary-split", "COMMAND [OPTIONS] [ARGUMENTS]")
    page.heading("DESCRIPTION")
    page.prose(cli.help or "")
    page.heading("COMMANDS")
    page.terms((f"binary-split-{name}(1)", _summary(context, name)) for name in names)
    page.heading("ENVIRONMENT")
    page.terms(_VARIABLES)
    page.heading("EXIT STATUS")
    page.terms((str(row.exit_code), f"{row.meaning} {row.hint}") for row in collect())
    page.see_also(_SETTINGS_PAGE, "age(1)", "docker(1)", "podman(1)")
    return page


def _command_page(context: click.Context, name: str) -> Page:
    page = Page(f"binary-split-{name}", 1, _summary(context.parent or context, name))
    page.heading("SYNOPSIS")
    page.usage(context.command_path, " ".join(context.command.collect_usage_pieces(context)))
    page.heading("DESCRIPTION")
    page.prose(context.command.help or "")
    _describe_options(page, context)
    if isinstance(context.command, click.Group):
        page.heading("COMMANDS")
        for below in _leaves(context):
            page.subheading(" ".join([below.command_path, *below.command.collect_usage_pieces(below)]))
            page.prose(below.command.help or "")
            page.terms(_options(below))
    page.heading("EXIT STATUS")
    page.prose("0 when it is done; any other says why not and stands in binary-split(1).")
    page.see_also("binary-split(1)", _SETTINGS_PAGE)
    return page


def _plugin_page(name: str, summary: str, module: object) -> Page:
    page = Page(name, 1, summary)
    page.heading("DESCRIPTION")
    page.verbatim(str(vars(module)["_HELP"]))
    page.see_also("binary-split(1)", "binary-split-unlock(1)", "binary-split-identity(1)")
    return page


def _settings_page() -> Page:
    page = Page("binary-split.toml", 5, "settings of binary-split and its agent")
    page.heading("DESCRIPTION")
    page.prose(
        "The file that the variable `BINARY_SPLIT_CONFIG` names, in TOML; there is no usual place. A "
        "variable of a setting's name, such as `BINARY_SPLIT_KEY_SERVICE`, comes before it, and an option "
        "of a command before both. A setting that does not exist is an error."
    )
    page.heading("SETTINGS")
    page.terms(_attributes(Settings))
    page.heading("THE TABLE [agent]")
    page.terms(_attributes(AgentSettings))
    page.heading("EXAMPLE")
    page.verbatim((ROOT / "deploy" / "agent.toml").read_text(encoding="utf-8"))
    page.see_also("binary-split(1)", "binary-split-agent(1)")
    return page


def _summary(context: click.Context, name: str) -> str:
    """Return the line that the list of commands has for one."""
    assert isinstance(context.command, click.Group)
    formatter = context.make_formatter()
    formatter.width = 1000
    context.command.format_commands(context, formatter)
    found = re.search(rf"^ +{re.escape(name)} +(.+)$", formatter.getvalue(), re.MULTILINE)
    assert found
    return found[1]


def _leaves(context: click.Context) -> Iterator[click.Context]:
    """Give the context of every command below a group."""
    command = context.command
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from _leaves(click.Context(below, parent=context, info_name=name))


def _describe_options(page: Page, context: click.Context) -> None:
    page.heading("OPTIONS")
    page.terms(_options(context))


def _options(context: click.Context) -> Iterator[tuple[str, str]]:
    records = (parameter.get_help_record(context) for parameter in context.command.get_params(context))
    return (record for record in records if record and record[1])  # an argument needs no line of its own


def _attributes(settings: type) -> list[tuple[str, str]]:
    """Return what the docstring of some settings says of each that may stand in a file."""
    text = (settings.__doc__ or "").partition("Attributes:\n")[2]
    found = dict(re.findall(r"^ +(\w+): (.+(?:\n {9,}\S.*)*)", text, re.MULTILINE))
    names = [field.name for field in fields(settings) if field.name not in _NOT_A_LINE_OF_THE_FILE]
    return [(name, found[name][0].upper() + found[name][1:]) for name in names]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
