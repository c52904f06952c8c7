"""Container engines: what runs images, behind one small interface that each passes one contract suite for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from binary_split.errors import ConfigError
from binary_split.model import Digest, ImageRef


class IdKind(Enum):
    """What an engine names an image by."""

    CONFIG = "config digest"
    MANIFEST = "manifest digest"


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """An engine in words: ``docker 20.10.24 (overlay2) at unix:///var/run/docker.sock``."""

    kind: str
    version: str
    store: str
    address: str
    id_kind: IdKind

    def __str__(self) -> str:
        return f"{self.kind} {self.version} ({self.store}) at {self.address}"


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image as an engine has it: its id (of the engine's :class:`IdKind`) and its layers' diff ids."""

    id: Digest
    diff_ids: tuple[Digest, ...]


class Engine(Protocol):
    """What an engine can do for us. Every failure is an :class:`~binary_split.errors.EngineError`."""

    def describe(self) -> EngineDescription:
        """Ask the engine who it is."""

    def find_image(self, ref: ImageRef) -> EngineImage | None:
        """Return the image of that reference, None where there is none."""

    def load(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Load a tar of images. An error out of ``chunks`` stops the load and comes out as it is."""

    def save(self, refs: Iterable[ImageRef]) -> Iterator[bytes | memoryview]:
        """Give images as one tar that any engine loads; a failure may come at any chunk."""


def open_engine(name: str | None, *, platform: str | None = None) -> Engine:
    """Connect to an engine: ``docker`` (also for None) or ``oci:DIR``.

    Args:
        name: which.
        platform: what to take of images that an OCI folder has for several.

    Raises:
        ConfigError: there is no engine of that name.
        EngineError: it does not answer.
    """
    if name in {None, "docker"}:
        from binary_split.engines.docker import DockerEngine

        return DockerEngine.connect()
    kind, _, folder = str(name).partition(":")
    if kind == "oci" and folder:
        from binary_split.engines.oci_folder import OciFolder

        return OciFolder(Path(folder), platform=platform)
    raise ConfigError(
        f"no such engine: {name!r}", hint="Use `docker`, or `oci:DIR` for an OCI layout folder."
    )
