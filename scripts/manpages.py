"""Write ``docs/man`` from the command line and the settings themselves; with ``--check`` only compare."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from binary_split.agent.settings import AgentSettings
from binary_split.cli import age_plugin, docker_plugin
from binary_split.config import Settings
from scripts.commands import Command, Option, read_commands
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
    program = read_commands()
    yield _program_page(program)
    yield from map(_command_page, program.commands)
    yield _plugin_page("age-plugin-binary-split", "let age open an archive with a fragment", age_plugin)
    yield _plugin_page("docker-unlock", "the plugin of the Docker client behind docker unlock", docker_plugin)
    yield _settings_page()


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or compare them with ``--check``."""
    pages = {FOLDER / f"man{page.section}" / page.file_name: page.serialise() for page in make_pages()}
    return keep(pages, FOLDER.glob("man*/*"), arguments)


def _program_page(program: Command) -> Page:
    page = Page(program.name, 1, "unlock sealed container images on machines that you do not own")
    page.heading("SYNOPSIS")
    page.usage(program.name, "COMMAND [OPTIONS] [ARGUMENTS]")
    page.heading("DESCRIPTION")
    page.prose("\n\n".join(program.paragraphs))
    page.prose("`--help` after a command says what its page says.")
    page.heading("COMMANDS")
    page.terms((f"{_page_name(command)}(1)", command.summary) for command in program.commands)
    page.heading("ENVIRONMENT")
    page.terms(_VARIABLES)
    page.heading("EXIT STATUS")
    page.terms((str(row.exit_code), f"{row.meaning} {row.hint}") for row in collect())
    page.see_also(_SETTINGS_PAGE, "age(1)", "docker(1)", "podman(1)")
    return page


def _command_page(command: Command) -> Page:
    page = Page(_page_name(command), 1, command.summary)
    page.heading("SYNOPSIS")
    page.usage(command.name, command.usage)
    page.heading("DESCRIPTION")
    page.prose("\n\n".join(command.paragraphs))
    if command.options:
        page.heading("OPTIONS")
        page.terms(_terms(command.options))
    if command.commands:
        page.heading("COMMANDS")
        for below in _leaves(command):
            page.subheading(f"{below.name} {below.usage}")
            page.prose("\n\n".join(below.paragraphs))
            page.terms(_terms(below.options))
    page.heading("EXIT STATUS")
    page.prose("0 when it is done; any other says why not and stands in binary-split(1).")
    page.see_also("binary-split(1)", _SETTINGS_PAGE)
    return page


def _page_name(command: Command) -> str:
    return "-".join(command.path)


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


def _leaves(command: Command) -> Iterator[Command]:
    """Give every command below a group, groups left out."""
    return (below for below in command.walk() if not below.commands)


def _terms(options: Iterable[Option]) -> Iterator[tuple[str, str]]:
    for option in options:
        text = option.help
        if option.bounds:
            text += f" [{option.bounds}]"
        if option.environment:
            text += f" [env: {option.environment}]"
        if option.default:
            text += f" [default: {option.default}]"
        if option.is_required:
            text += " [required]"
        yield f"{', '.join(option.names)} {option.metavar}".strip(), text


def _attributes(settings: type) -> list[tuple[str, str]]:
    """Return what the docstring of some settings says of each that may stand in a file."""
    text = (settings.__doc__ or "").partition("Attributes:\n")[2]
    found = dict(re.findall(r"^ +(\w+): (.+(?:\n {9,}\S.*)*)", text, re.MULTILINE))
    names = [field.name for field in fields(settings) if field.name not in _NOT_A_LINE_OF_THE_FILE]
    return [(name, found[name][0].upper() + found[name][1:]) for name in names]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
