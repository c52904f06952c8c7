"""The program ``docker-unlock``, which `docker` starts as its plugin for ``docker unlock``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import click

from binary_split.cli.docker_flags import Changes, engine_variables, parse_global_flags
from binary_split.cli.docker_signals import end_with_docker
from binary_split.cli.main import cli, run
from binary_split.cli.output import INTERRUPTED, emit, report_error, say
from binary_split.environment import docker_plugin_socket
from binary_split.errors import BinarySplitError
from binary_split.version import __version__

_METADATA = {
    "SchemaVersion": "0.1.0",
    "Vendor": "binary-split",
    "Version": __version__,
    "ShortDescription": "Unlock a sealed release: load its images, prove them",
}
_COMPLETIONS = ("__complete", "__completeNoDesc")
_HELP = """\
This is a plugin of the Docker client, which starts it: docker unlock ARCHIVE
`binary-split docker-plugin install` puts it where docker finds it.
"""
_USAGE = 2
_FILES, _NO_FILES = 0, 4  # cobra's directives: what a shell adds of its own to completions


def main() -> None:
    """Do what `docker` asks for; a failure's exit code is that of ``binary-split unlock``."""
    try:
        sys.exit(_answer(sys.argv[1:]))
    except click.UsageError as error:
        error.show()
        sys.exit(error.exit_code)
    except BinarySplitError as error:
        report_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _answer(words: list[str]) -> int:
    if words[:1] == ["docker-cli-plugin-metadata"]:
        emit(json.dumps(_METADATA))
        return 0
    if words[:1] and words[0] in _COMPLETIONS:
        return _complete(words[2:], with_help=words[0] == _COMPLETIONS[0])
    flags, rest = parse_global_flags(words)
    match rest:
        case ["help", *_]:
            return run(["unlock", "--help"], "docker")
        case ["unlock", "docker-cli-plugin-hooks", *_]:
            say("docker-unlock has no hooks")
            return 1
        case ["unlock", *arguments]:
            if "help" in flags:
                arguments = ["--help"]
            with engine_variables(flags, os.environ) as changes:
                return _unlock(arguments, changes)
    say(_HELP.rstrip())
    return 0 if "help" in flags else _USAGE


def _unlock(arguments: list[str], changes: Changes) -> int:
    """Run the command in an environment that names the engine."""
    for name, value in changes.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    if address := docker_plugin_socket():
        end_with_docker(address)
    # Docker's own engine whatever is configured; --engine among the arguments comes later and wins.
    return run(["unlock", "--engine", "docker", *arguments], "docker")


def _complete(words: Sequence[str], *, with_help: bool) -> int:
    """Answer as cobra does: a completion a line, then what the shell may add."""
    from click.shell_completion import ShellComplete

    *arguments, begun = words or [""]
    found = ShellComplete(cli, {}, "docker", "").get_completions(["unlock", *arguments], begun)
    plain = [item for item in found if item.type == "plain"]
    for item in plain:
        emit(f"{item.value}\t{item.help}" if with_help and item.help else item.value)
    emit(f":{_NO_FILES if plain else _FILES}")
    return 0


if __name__ == "__main__":
    main()
