"""``binary-split docker-plugin``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from binary_split.cli.output import say
from binary_split.environment import docker_config_folder
from binary_split.errors import ConfigError, OutputError

_NAME = "docker-unlock"
# Of those that Docker searches, the administrator's own.
_SYSTEM_FOLDER = Path("/usr/local/lib/docker/cli-plugins")


@click.group("docker-plugin")
def docker_plugin() -> None:
    """Let `docker unlock` work, as a plugin of the Docker client."""


@docker_plugin.command()
@click.option("--system", is_flag=True, help=f"For every user of this machine: in {_SYSTEM_FOLDER}.")
@click.option("--uninstall", is_flag=True, help="Remove the link again.")
def install(system: bool, uninstall: bool) -> None:
    """Link `docker-unlock` into the folder where docker finds plugins: ~/.docker/cli-plugins.

    Nothing is overwritten that is not a link of ours.
    """
    program = _find_program()
    folder = _SYSTEM_FOLDER if system else docker_config_folder() / "cli-plugins"
    link = folder / _NAME
    try:
        if uninstall:
            say(f"removed {link}" if _remove(link, program) else f"{link} was not there")
        else:
            _make(link, program)
            say(f"{link} is there: try `docker unlock --help`")
    except OSError as error:
        raise OutputError(
            f"cannot change {link}: {error.strerror}", hint="Check the permissions of the folder."
        ) from error


def _find_program() -> Path:
    """Find the plugin's program: beside this one, or else on PATH.

    Raises:
        ConfigError: it is not there.
    """
    beside = (Path(program).absolute().parent / _NAME for program in (sys.argv[0], sys.executable))
    found = next((path for path in beside if path.is_file()), None) or shutil.which(_NAME)
    if found is None:
        raise ConfigError(f"there is no program {_NAME}", hint="Install binary-split again.")
    return Path(found)


def _make(link: Path, program: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    _remove(link, program)
    link.symlink_to(program)


def _remove(link: Path, program: Path) -> bool:
    """Remove our link, or one of ours that leads nowhere any more; False if nothing is there.

    Raises:
        OutputError: something else is there.
    """
    if not link.is_symlink() and not link.exists():
        return False
    is_ours = link.is_symlink() and link.readlink().name == _NAME
    if not is_ours or (link.exists() and not link.samefile(program)):
        raise OutputError(f"{link} is not ours", hint="Look at what it is, and remove it first.")
    link.unlink()
    return True
