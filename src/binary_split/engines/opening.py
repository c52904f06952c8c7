"""Connecting to the engine that the environment names, and asking which engine it is."""

from __future__ import annotations

from typing import Any

from binary_split.config import LIMITS
from binary_split.engines.discovery import find_docker, find_podman
from binary_split.engines.docker import DockerEngine
from binary_split.engines.endpoint import Endpoint
from binary_split.engines.podman import PodmanEngine
from binary_split.engines.wire import Wire
from binary_split.errors import ConfigError, EngineAnswerError, EngineUnreachableError

_WHAT = "connect to the engine"
_PODMAN = "Podman Engine"


def connect_docker() -> DockerEngine:
    """Connect to the engine at Docker's address; Podman may listen there, and then is treated as itself.

    Raises:
        ConfigError: the environment names a context that does not exist, or an address that is none.
        EngineUnreachableError: nothing answers there.
        EnginePermissionError: this user may not speak to it.
        EngineTimeoutError: it is there but does not answer.
        EngineTlsError: it cannot prove who it is, or does not believe us.
        EngineAnswerError: what answers is no engine.
    """
    return _connect(find_docker())


def connect_podman() -> DockerEngine:
    """Connect to Podman's service.

    Raises:
        ConfigError: it is no Podman, or its address is none.
        EngineError: as above.
    """
    try:
        engine = _connect(find_podman())
    except EngineUnreachableError as error:
        error.hint = "Start its service (`systemctl start podman.socket`), or point CONTAINER_HOST at it."
        raise
    if not isinstance(engine, PodmanEngine):
        raise ConfigError(
            f"what answers at {engine.describe().address} is not Podman", hint="Use --engine docker."
        )
    return engine


def _connect(endpoint: Endpoint) -> DockerEngine:
    wire = Wire(endpoint)
    answer = wire.ask("GET", "/version", _WHAT, timeout_s=LIMITS.engine_greeting_timeout_s)
    facts: dict[str, Any] = answer.read_json(dict, _WHAT)
    version = facts.get("ApiVersion")
    if not isinstance(version, str) or not version.replace(".", "").isdecimal():
        raise EngineAnswerError(f"could not {_WHAT}: what answers there is no engine")
    wire.prefix = f"/v{version}"
    components = facts.get("Components")
    rows = components if isinstance(components, list) else []
    is_podman = any(isinstance(row, dict) and row.get("Name") == _PODMAN for row in rows)
    return PodmanEngine(wire) if is_podman else DockerEngine(wire)
