"""Finding an engine as its own client does, by the environment and by Docker's contexts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from binary_split.engines.endpoint import Endpoint, TlsFiles
from binary_split.environment import docker_environment, podman_environment
from binary_split.errors import ConfigError

_DEFAULT = "unix:///var/run/docker.sock"


def find_docker() -> Endpoint:
    """Return where Docker listens: ``DOCKER_HOST``, else ``DOCKER_CONTEXT``, else the context in use.

    Raises:
        ConfigError: the environment names a context that does not exist, or an address that is none.
    """
    environment = docker_environment()
    if host := environment.get("DOCKER_HOST"):
        tls = None
        if not host.startswith(("unix:", "ssh:")) and {"DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"} & set(
            environment
        ):
            folder = Path(environment.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
            tls = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
        return Endpoint(host, tls)
    return _read_context(environment.get("DOCKER_CONTEXT"), environment)


def find_podman() -> Endpoint:
    """Return where Podman's service listens: ``CONTAINER_HOST``, else the user's socket, else the system's.

    Raises:
        ConfigError: the environment names an address that is none.
    """
    environment = podman_environment()
    if host := environment.get("CONTAINER_HOST"):
        return Endpoint(host, far_program="podman")
    path = Path("/run/podman/podman.sock")
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime and os.geteuid() != 0:
        path = Path(runtime) / "podman" / "podman.sock"
    return Endpoint(f"unix://{path}", far_program="podman")


def _read_context(name: str | None, environment: dict[str, str]) -> Endpoint:
    """Read a context with Docker's own library."""
    from docker import ContextAPI
    from docker.utils.config import find_config_file

    if name and name != "default" and find_config_file() is None:
        # The library would look for it in the working folder, where anybody may have put one.
        raise ConfigError(
            f"there is no Docker context {name!r}",
            hint="Contexts are found beside Docker's config.json; make one that holds {} or set DOCKER_HOST.",
        )
    try:
        arguments = ContextAPI.kwargs_from_context(name, environment)
    except Exception as error:  # the library raises just that, KeyError and more
        raise ConfigError(f"the Docker context {name or 'in use'!r} is malformed: {error}") from error
    if not arguments:
        raise ConfigError(f"there is no Docker context {name or 'of the configured name'!r}")
    return Endpoint(arguments.get("base_url") or _DEFAULT, _tls_of(arguments.get("tls"), name))


def _tls_of(settings: Any, name: str | None) -> TlsFiles | None:
    if not settings:
        return None
    if not settings.verify:
        raise ConfigError(
            f"the Docker context {name or 'in use'!r} does not verify its engine, which is given plaintext",
            hint="Make the context again with the engine's CA and without skip-tls-verify.",
        )
    certificate, key = settings.cert or (None, None)
    return TlsFiles(*(Path(path) if path else None for path in (settings.ca_cert, certificate, key)))
