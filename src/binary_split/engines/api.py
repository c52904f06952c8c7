"""What an engine is to the rest of the program: one small interface, and the values that it speaks in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from binary_split.model import Digest, ImageRef
from binary_split.oci.compression import Compression


class IdKind(Enum):
    """What an engine names an image by."""

    CONFIG = "config digest"
    MANIFEST = "manifest digest"


class LayerReuse(Enum):
    """Which of the layers that an engine has may be left out of a tar that is loaded into it."""

    CHAIN = "chain"
    """The lowest layers of an image, if their whole chain of diff ids is there, in a tar of any images."""

    IMAGE = "image"
    """The same, but only in an OCI layout without ``manifest.json`` that holds a single image."""

    BLOB = "blob"
    """A blob whose very digest the caller knows to be in the engine; one that may be there is sent."""

    NONE = "none"
    """No layer: every tar is whole."""


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """An engine in words: ``docker 20.10.24 (overlay2) at unix:///var/run/docker.sock``, and what it can do.

    Attributes:
        compressions: how the layers that are sent may be compressed.
        data_root: the folder where it keeps its images and spools what is loaded, where that is on this
            machine; None where it is not, or where that is not known.
        parallel_loads: whether several loads side by side are safe and take less time than one after another.
        platform: ``os/architecture`` of its machine; None where it runs nothing, or where that is not known.
    """

    kind: str
    version: str
    store: str
    address: str
    id_kind: IdKind
    reuse: LayerReuse = LayerReuse.NONE
    compressions: frozenset[Compression] = frozenset({Compression.NONE, Compression.GZIP})
    data_root: Path | None = None
    parallel_loads: bool = False
    platform: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.version} ({self.store}) at {self.address}"


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image as an engine has it.

    Attributes:
        id: of the engine's :class:`IdKind`.
        diff_ids: its layers, lowest first.
        refs: all its references, sorted; filled in by :meth:`Engine.list_images` alone.
    """

    id: Digest
    diff_ids: tuple[Digest, ...]
    refs: tuple[ImageRef, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadStep:
    """How far an engine is with a layer that it unpacks.

    Attributes:
        layer: the engine's name for the layer, often the beginning of its diff id.
        done: bytes of the layer as it was sent.
        total: bytes; 0 where the engine does not say.
    """

    layer: str
    done: int
    total: int


LoadSink = Callable[[LoadStep], None]
"""Is called from the thread that loads; must be quick and must not raise."""


def ignore_steps(_step: LoadStep) -> None:
    """Be the sink for whoever does not want to know."""


class Abort:
    """Ends loads from another thread, within a second, whatever the engine does meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._ends: list[Callable[[], None]] = []

    def set(self) -> None:
        """End the loads that were given this abort, and each that still will be."""
        with self._lock:
            self._is_set = True
            for end in self._ends:
                end()

    def is_set(self) -> bool:
        """Whether loads are to end."""
        return self._is_set

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Have ``end`` called, once and from any thread, if the abort is set before the block ends."""
        with self._lock:
            self._ends.append(end)
            if self._is_set:
                end()
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)


class Engine(Protocol):
    """What an engine can do for us; every method may be called from several threads at once.

    Every failure is an :class:`~binary_split.errors.EngineError`.
    """

    def describe(self) -> EngineDescription:
        """Say who the engine is and what it can do, as it said itself."""

    def find_image(self, ref: ImageRef) -> EngineImage | None:
        """Return the image of that reference, None where there is none."""

    def list_images(self) -> tuple[EngineImage, ...]:
        """Return all images, also those without a reference; a name that is no reference is left out."""

    def load(
        self,
        chunks: Iterable[bytes | memoryview],
        *,
        report: LoadSink = ignore_steps,
        abort: Abort | None = None,
    ) -> None:
        """Load a tar of images; what the engine says of it is no proof.

        Args:
            chunks: the tar; a chunk must not change until the next is asked for. An error out of them stops
                the load and comes out as it is.
            report: is told what the engine itself says of its progress.
            abort: ends the load from another thread. Chunks that are being waited for are not interrupted.

        Raises:
            EngineLoadError: the engine could not load it; some of its images may be there.
            EngineAbortedError: the abort was set.
        """

    def tag(self, source: ImageRef, target: ImageRef) -> None:
        """Make ``target`` name the image of ``source``, whatever it named before.

        Raises:
            ImageMissingError: there is no image ``source``.
        """

    def untag(self, ref: ImageRef) -> None:
        """Remove a reference if it is there, and with an image's last one the image and its layers.

        Raises:
            EngineImageInUseError: it is the last one and a container uses the image; it still stands.
        """

    def verify_unpacked(self, ref: ImageRef) -> None:
        """Prove that a container can be made of an image: that its layers are there, and not only its name.

        Raises:
            ImageMissingError: there is no such image.
            ImageIncompleteError: none can be made of it.
        """

    def save(self, refs: Iterable[ImageRef]) -> Iterator[bytes | memoryview]:
        """Give images as one tar that any engine loads; a failure may come at any chunk."""
