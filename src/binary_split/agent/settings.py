"""What the agent is told by the table ``[agent]`` of the configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from binary_split.agent.media import find_newest
from binary_split.config import LIMITS, flag_setting, path_setting, text_setting, verify_known
from binary_split.errors import ArchiveNotConfiguredError, ArchiveUnreadableError, ConfigError
from binary_split.model import is_tag
from binary_split.transports import ArchiveLocation, parse_location
from binary_split.transports.options import HttpOptions

ARCHIVE_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
_NAME = re.compile(ARCHIVE_NAME)
_TABLE = "[agent]"
_KNOWN = {"archives", "autostart", "default", "names", "resume", "token_file"}
_KNOWN_OF_ARCHIVE = {"ca_file", "insecure_http", "path", "version"}


@dataclass(frozen=True, slots=True)
class ArchiveChoice:
    """An archive that may be asked for.

    Attributes:
        name: by which it is; a path is never taken from a request.
        path: where it is, or the folder of which the newest one is meant; all may come and go, with a medium
            or a line.
        version: which it must be; None: any, which a ``cbc`` archive does not allow.
    """

    name: str
    path: ArchiveLocation
    version: str | None = None

    def locate(self) -> ArchiveLocation:
        """Return where the archive is now: of a folder, the newest `age` archive that lies in it.

        Raises:
            ArchiveUnreadableError: it cannot be looked at, or none lies in the folder.
        """
        if not isinstance(self.path, Path):
            return self.path
        try:
            is_folder = self.path.is_dir()
        except OSError as error:  # a medium that fails, or a folder above it that is closed to the agent
            raise ArchiveUnreadableError(f"cannot look at {self.path}: {error.strerror or error}") from error
        return find_newest(self.path) if is_folder else self.path


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The agent's own settings.

    Attributes:
        archives: those that may be asked for, by name.
        default: the name of the one that is meant where none is named; empty where there is no archive.
        autostart: the names of those that are unlocked without being asked for, the most wanted first.
        resume: whether an unlock that a power cut or a restart ended is begun again by itself.
        token_file: holds the token that opens the agent itself to remote callers.
        names: of the host by which a browser may reach it, beside the loopback ones and its own address.
    """

    archives: Mapping[str, ArchiveChoice]
    default: str = ""
    autostart: tuple[str, ...] = ()
    resume: bool = True
    token_file: Path | None = None
    names: tuple[str, ...] = ()

    def choose(self, name: str) -> ArchiveChoice:
        """Return the archive of a name, or the default one for the empty name.

        Raises:
            ArchiveNotConfiguredError: there is none.
        """
        choice = self.archives.get(name or self.default)
        if choice is None:
            raise ArchiveNotConfiguredError(
                f"no archive {name!r} is configured" if name else "no archive is configured"
            )
        return choice


def parse_agent_settings(table: Mapping[str, Any], options: HttpOptions | None = None) -> AgentSettings:
    """Parse the table.

    Args:
        table: ``[agent]``.
        options: how servers of archives are reached, where the table says nothing else.

    Raises:
        ConfigError: it holds a setting that does not exist, or one that makes no sense.
    """
    verify_known(_TABLE, table, _KNOWN)
    rows = table.get("archives", {})
    if not isinstance(rows, dict) or len(rows) > LIMITS.agent_archives:
        raise ConfigError(f"[agent.archives] must be a table of at most {LIMITS.agent_archives} archives")
    archives = {name: _parse_archive(name, row, options or HttpOptions()) for name, row in rows.items()}
    default = text_setting(table, "default", where=_TABLE) or next(iter(archives), "")
    if default and default not in archives:
        raise ConfigError(f"[agent] default = {default!r} names none of [agent.archives]")
    autostart = table.get("autostart", [])
    if not isinstance(autostart, list) or not set(map(str, autostart)) <= set(archives):
        raise ConfigError("[agent] autostart must be a list of names of [agent.archives]")
    return AgentSettings(
        archives,
        default,
        tuple(map(str, autostart)),
        flag_setting(table, "resume", default=True, where=_TABLE),
        path_setting(table, "token_file", where=_TABLE),
        _parse_names(table),
    )


def _parse_archive(name: str, row: object, options: HttpOptions) -> ArchiveChoice:
    """Parse ``NAME = "PATH"`` or ``NAME = {path = "PATH", version = "V", ca_file = "F"}``; or a URL."""
    where = f"[agent.archives.{name}]"
    if not _NAME.fullmatch(name):
        raise ConfigError(f"not a name of an archive: {name[:80]!r}", hint=f"Write {ARCHIVE_NAME}.")
    table = {"path": row} if isinstance(row, str) else row
    if not isinstance(table, dict):
        raise ConfigError(f"[agent.archives] {name} must be a path or a table")
    verify_known(where, table, _KNOWN_OF_ARCHIVE)
    path, version = text_setting(table, "path", where=where), text_setting(table, "version", where=where)
    if not path:
        raise ConfigError(f"{where} has no path")
    if version is not None and not is_tag(version):
        raise ConfigError(f"{where} version is none: {version[:80]!r}")
    ca_file = path_setting(table, "ca_file", where=where)
    insecure_http = flag_setting(table, "insecure_http", default=False, where=where)
    options = replace(options, ca_file=ca_file or options.ca_file, insecure_http=insecure_http)
    return ArchiveChoice(name, parse_location(path, options), version)


def _parse_names(table: Mapping[str, Any]) -> tuple[str, ...]:
    names = table.get("names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError('[agent] names must be a list of host names, such as ["device.example"]')
    return tuple(names)
