"""Podman, through the API of its service that is compatible with Docker's.

What differs from Docker: an image that Docker calls ``azaion/x:1`` is here ``docker.io/azaion/x:1``, or
``localhost/azaion/x:1`` when it came in a docker archive or was built here. Podman, asked for ``azaion/x:1``,
takes the latter first, and so do we.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from binary_split.engines.api import EngineDescription, IdKind, LayerReuse
from binary_split.engines.docker import DockerEngine
from binary_split.engines.docker_save import receive_tar
from binary_split.errors import EngineAnswerError
from binary_split.model import ImageRef
from binary_split.oci.compression import Compression

_LOCAL = "localhost/"


class PodmanEngine(DockerEngine):
    """A Podman service that answered."""

    def _ask_description(self) -> EngineDescription:
        return replace(
            super()._ask_description(),
            kind="podman",
            id_kind=IdKind.CONFIG,
            reuse=LayerReuse.IMAGE,
            compressions=frozenset(Compression),
            parallel_loads=False,  # they are safe, and take as long as one after the other
        )

    def tag(self, source: ImageRef, target: ImageRef) -> None:
        """Make a reference name an image; what it was called before names it too, and no other image."""
        super().tag(source, target)
        new = self._new_name(target)
        for name in self._names(target):
            if name != new and self._inspect(name):
                self._tag(new, name, f"tag {source} as {name}")

    def save(self, refs: Iterable[ImageRef]) -> Iterator[bytes | memoryview]:
        """Export images as `docker save` does, under the names that any other engine knows."""
        refs = tuple(refs)
        self._find_all(refs)
        added = [ref for ref in refs if self._needs_new_name(ref)]
        try:
            for ref in added:
                super().tag(ref, ref)
            yield from receive_tar(self._wire, [self._new_name(ref) for ref in refs])
        finally:
            for ref in added:
                self._untag(self._new_name(ref))

    def _needs_new_name(self, ref: ImageRef) -> bool:
        found, new = self._find(ref), self._inspect(self._new_name(ref))
        if found and new and found[1].id != new.id:
            raise EngineAnswerError(
                f"there are two images {ref}: one of localhost and one of a registry",
                hint="Remove the one that is not meant, with `podman untag`.",
            )
        return new is None

    def _names(self, ref: ImageRef) -> tuple[str, ...]:
        new = self._new_name(ref)
        familiar = str(ref)
        return (new,) if new == familiar else (f"{_LOCAL}{familiar}", new)

    def _new_name(self, ref: ImageRef) -> str:
        return f"{ref.canonical_name}:{ref.tag}"

    def _parse_ref(self, text: str) -> ImageRef:
        return ImageRef.parse(text.removeprefix(_LOCAL))
