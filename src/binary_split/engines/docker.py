"""The Docker Engine, through its API (v1.24 and newer).

What it is, and so what it can do, is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from binary_split.engines.api import (
    Abort,
    EngineDescription,
    EngineImage,
    IdKind,
    LayerReuse,
    LoadSink,
    ignore_steps,
)
from binary_split.engines.docker_load import post_tar
from binary_split.engines.docker_save import receive_tar
from binary_split.engines.platforms import parse_machine
from binary_split.engines.trial import verify_container
from binary_split.engines.wire import Wire
from binary_split.errors import (
    EngineAnswerError,
    EngineImageInUseError,
    ImageMissingError,
    ImageReferenceError,
)
from binary_split.files import is_visible_folder
from binary_split.model import Digest, ImageRef
from binary_split.oci.compression import Compression

# The classic store takes zstd too from some version on, which it does not tell.
_TAKEN_BY_ALL = frozenset({Compression.NONE, Compression.GZIP})
_CONTAINERD_STORE = "io.containerd.snapshotter.v1"


class DockerEngine:
    """A Docker Engine that answered."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        # What an id names never changes, and a question for each image of a list takes time.
        self._diff_ids: dict[Digest, tuple[Digest, ...]] = {}
        self._description: EngineDescription | None = None

    def describe(self) -> EngineDescription:
        """Ask the engine for its version and its image store, once: Podman takes half a second for it."""
        if self._description is None:
            self._description = self._ask_description()
        return self._description

    def find_image(self, ref: ImageRef) -> EngineImage | None:
        """Inspect an image."""
        found = self._find(ref)
        return None if found is None else found[1]

    def list_images(self) -> tuple[EngineImage, ...]:
        """List the images, and inspect those that were not listed before."""
        what = "list the engine's images"
        rows = self._wire.ask("GET", "/images/json", what, query={"all": "1"}).read_json(list, what)
        images = []
        try:
            for row in rows:
                digest = Digest.parse(row["Id"])
                diff_ids = self._diff_ids.get(digest)
                if diff_ids is None and (image := self._inspect(str(digest))):
                    diff_ids = image.diff_ids
                if diff_ids is not None:  # else it was removed meanwhile
                    images.append(EngineImage(digest, diff_ids, self._parse_refs(row.get("RepoTags") or ())))
        except (KeyError, TypeError, AttributeError, ImageReferenceError) as error:
            raise EngineAnswerError(f"could not {what}: the answer makes no sense") from error
        return tuple(images)

    def load(
        self,
        chunks: Iterable[bytes | memoryview],
        *,
        report: LoadSink = ignore_steps,
        abort: Abort | None = None,
    ) -> None:
        """Post a tar to the engine and read its answer to the end: failures come inside a 200."""
        target = self._wire.target("/images/load", {"quiet": "0"})
        abort = abort or Abort()
        with self._wire.stream(abort) as connection:
            post_tar(connection, target, chunks, report=report, abort=abort)

    def tag(self, source: ImageRef, target: ImageRef) -> None:
        """Make a reference name an image."""
        what = f"tag {source} as {target}"
        found = self._find(source)
        if found is None:
            raise ImageMissingError(f"could not {what}: the engine does not have {source}")
        self._tag(found[0], self._new_name(target), what)

    def untag(self, ref: ImageRef) -> None:
        """Remove a reference, and with an image's last one the image."""
        for name in self._names(ref):
            self._untag(name)

    def verify_unpacked(self, ref: ImageRef) -> None:
        """Make a container of the image and remove it; the classic store shows only what is unpacked."""
        if self.find_image(ref) is None:
            raise ImageMissingError(f"the engine does not have {ref}")
        if self.describe().id_kind is IdKind.MANIFEST:
            verify_container(self._wire, ref)

    def save(self, refs: Iterable[ImageRef]) -> Iterator[bytes | memoryview]:
        """Export images as `docker save` does."""
        yield from receive_tar(self._wire, list(self._find_all(refs).values()))

    def _ask_description(self) -> EngineDescription:
        what = "ask the engine what it is"
        facts: dict[str, Any] = self._wire.ask("GET", "/info", what).read_json(dict, what)
        try:
            status = dict(row[:2] for row in facts.get("DriverStatus") or [])
        except (TypeError, ValueError, AttributeError) as error:
            raise EngineAnswerError("the engine described itself in a way that makes no sense") from error
        has_containerd_store = status.get("driver-type") == _CONTAINERD_STORE
        return EngineDescription(
            kind="docker",
            version=str(facts.get("ServerVersion", "?")),
            store="containerd" if has_containerd_store else str(facts.get("Driver", "?")),
            address=self._wire.endpoint.address,
            id_kind=IdKind.MANIFEST if has_containerd_store else IdKind.CONFIG,
            reuse=LayerReuse.BLOB if has_containerd_store else LayerReuse.CHAIN,
            compressions=frozenset(Compression) if has_containerd_store else _TAKEN_BY_ALL,
            data_root=self._find_data_root(facts.get("DockerRootDir")),
            parallel_loads=True,
            platform=parse_machine(facts.get("OSType"), facts.get("Architecture")),
        )

    def _names(self, ref: ImageRef) -> tuple[str, ...]:
        """Return what the engine may call a reference, what it itself would look for first."""
        return (str(ref),)

    def _new_name(self, ref: ImageRef) -> str:
        """Return what a new reference is to be called."""
        return str(ref)

    def _parse_ref(self, text: str) -> ImageRef:
        """Return the reference that the engine calls so."""
        return ImageRef.parse(text)

    def _parse_refs(self, texts: Iterable[object]) -> tuple[ImageRef, ...]:
        """Return the references among an image's names; ``<none>:<none>`` and the like are none."""
        refs = set()
        for text in texts:
            with suppress(ImageReferenceError):
                refs.add(self._parse_ref(str(text)))
        return tuple(sorted(refs))

    def _find(self, ref: ImageRef) -> tuple[str, EngineImage] | None:
        """Return an image and what the engine calls it."""
        for name in self._names(ref):
            if image := self._inspect(name):
                return name, image
        return None

    def _find_all(self, refs: Iterable[ImageRef]) -> dict[ImageRef, str]:
        """Return what the engine calls each reference."""
        found = {ref: self._find(ref) for ref in refs}
        missing = [str(ref) for ref, row in found.items() if row is None]
        if missing:
            raise ImageMissingError(f"the engine does not have {', '.join(missing)}")
        return {ref: row[0] for ref, row in found.items() if row}

    def _inspect(self, name: str) -> EngineImage | None:
        what = f"ask the engine for {name}"
        answer = self._wire.ask("GET", f"/images/{name}/json", what)
        if answer.status == 404:
            return None
        facts = answer.read_json(dict, what)
        try:
            layers = facts["RootFS"].get("Layers") or ()
            image = EngineImage(Digest.parse(facts["Id"]), tuple(Digest.parse(text) for text in layers))
        except (KeyError, TypeError, AttributeError, ImageReferenceError) as error:
            raise EngineAnswerError(f"the engine described {name} in a way that makes no sense") from error
        self._diff_ids[image.id] = image.diff_ids
        return image

    def _tag(self, name: str, new_name: str, what: str) -> None:
        repository, _, tag = new_name.rpartition(":")
        query = {"repo": repository, "tag": tag}
        answer = self._wire.ask("POST", f"/images/{name}/tag", what, query=query)
        if answer.status == 404:
            raise ImageMissingError(f"could not {what}: {answer.message}")
        answer.raise_if_refused(what)

    def _untag(self, name: str) -> None:
        what = f"remove {name}"
        answer = self._wire.ask("DELETE", f"/images/{name}", what)
        if answer.status == 409:
            raise EngineImageInUseError(f"could not {what}: {answer.message}")
        if answer.status != 404:
            answer.raise_if_refused(what)

    def _find_data_root(self, stated: object) -> Path | None:
        """Return the engine's folder if it is on this machine, as far as that can be seen."""
        if not isinstance(stated, str) or not stated.startswith("/") or not self._wire.endpoint.is_local:
            return None
        folder = Path(stated)
        return folder if is_visible_folder(folder) else None
