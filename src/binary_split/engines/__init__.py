"""Container engines: what runs images, behind one small interface that each passes one contract suite for."""

from __future__ import annotations

from pathlib import Path

from binary_split.engines.api import (
    Abort,
    Engine,
    EngineDescription,
    EngineImage,
    IdKind,
    LayerReuse,
    LoadSink,
    LoadStep,
    ignore_steps,
)
from binary_split.errors import ConfigError

__all__ = [
    "Abort",
    "Engine",
    "EngineDescription",
    "EngineImage",
    "IdKind",
    "LayerReuse",
    "LoadSink",
    "LoadStep",
    "ignore_steps",
    "open_engine",
]


def open_engine(name: str | None, *, platform: str | None = None) -> Engine:
    """Connect to an engine: ``docker`` (also for None), ``podman`` or ``oci:DIR``.

    Args:
        name: which.
        platform: what to take of images that an OCI folder has for several.

    Raises:
        ConfigError: there is no engine of that name.
        EngineError: it does not answer.
    """
    if name in {None, "docker"}:
        from binary_split.engines.opening import connect_docker

        return connect_docker()
    if name == "podman":
        from binary_split.engines.opening import connect_podman

        return connect_podman()
    kind, _, folder = str(name).partition(":")
    if kind == "oci" and folder:
        from binary_split.engines.oci_folder import OciFolder

        return OciFolder(Path(folder), platform=platform)
    raise ConfigError(
        f"no such engine: {name!r}", hint="Use `docker`, `podman`, or `oci:DIR` for an OCI layout folder."
    )
