"""What the environment says to Docker's clients, to programs with colours, and so on: not to us alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from binary_split.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def is_colour_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a terminal may get colours: not with ``NO_COLOR`` (no-color.org), nor a dumb one."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def source_date_epoch(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return ``SOURCE_DATE_EPOCH``, the time that a reproducible build pretends to be at, in seconds.

    Raises:
        ConfigError: it is no such number.
    """
    text = environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > len("253402300799"):
        raise ConfigError("SOURCE_DATE_EPOCH is no number of seconds")
    return int(text)


def docker_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables by which Docker's own clients find their engine, those that are set."""
    names = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
    return {name: environ[name] for name in names if environ.get(name)}


def docker_config_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the Docker client's settings: ``DOCKER_CONFIG``, else ``~/.docker``.

    Raises:
        ConfigError: neither is named, and the user has no home.
    """
    from pathlib import Path

    if named := environ.get("DOCKER_CONFIG"):
        return Path(named)
    try:
        return Path.home() / ".docker"
    except RuntimeError as error:
        raise ConfigError("there is no home for Docker's settings", hint="Set DOCKER_CONFIG.") from error


def containers_auth_files(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return where the containers tools keep their logins (containers-auth.json(5))."""
    from pathlib import Path

    if named := environ.get("REGISTRY_AUTH_FILE"):
        return (Path(named),)
    folders = [Path(environ[name]) for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME") if environ.get(name)]
    return tuple(folder / "containers" / "auth.json" for folder in folders)


def docker_plugin_socket(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the socket by which `docker` tells a plugin of its end; None before Docker 25."""
    return environ.get("DOCKER_CLI_PLUGIN_SOCKET") or None


def podman_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables by which Podman's own clients find their engine, those that are set."""
    return {name: environ[name] for name in ("CONTAINER_HOST", "XDG_RUNTIME_DIR") if environ.get(name)}
