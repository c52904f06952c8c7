"""The Docker Engine, through its API (v1.24 and newer).

What it is, and so what it can do, is asked of it: the store by ``GET /info``, the API by ``GET /version``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from binary_split.config import LIMITS
from binary_split.engines.api import (
    Abort,
    EngineDescription,
    EngineImage,
    IdKind,
    LayerReuse,
    LoadSink,
    ignore_steps,
)
from binary_split.engines.discovery import find_docker
from binary_split.engines.docker_load import post_tar
from binary_split.engines.trial import verify_container
from binary_split.engines.wire import Wire, errors_mapped, message_of
from binary_split.errors import (
    EngineAnswerError,
    EngineImageInUseError,
    EngineLoadError,
    ImageMissingError,
    ImageReferenceError,
)
from binary_split.model import Digest, ImageRef
from binary_split.oci.compression import Compression

_CONTAINERD_STORE = "io.containerd.snapshotter.v1"


class DockerEngine:
    """A Docker Engine that answered."""

    def __init__(self, wire: Wire, version: Mapping[str, Any]) -> None:
        self._wire = wire
        self._version = version
        # What an id names never changes, and a question for each image of a list takes time.
        self._diff_ids: dict[Digest, tuple[Digest, ...]] = {}

    @classmethod
    def connect(cls) -> Self:
        """Connect to the engine that the environment names.

        Raises:
            ConfigError: the environment names a context that does not exist.
            EngineUnreachableError: nothing answers there.
            EnginePermissionError: this user may not speak to it.
            EngineTimeoutError: it is there but does not answer.
        """
        wire = Wire(find_docker())
        return cls(wire, ask_version(wire))

    def describe(self) -> EngineDescription:
        """Ask the engine for its version and its image store."""
        facts: dict[str, Any] = self._ask_json("GET", "/info", "ask the engine what it is", dict)
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
            # The classic store takes zstd from some version on; what it takes for certain is as fast.
            compressions=frozenset(Compression)
            if has_containerd_store
            else frozenset({Compression.NONE, Compression.GZIP}),
            data_root=self._find_data_root(facts.get("DockerRootDir")),
            parallel_loads=not has_containerd_store,
        )

    def find_image(self, ref: ImageRef) -> EngineImage | None:
        """Inspect an image."""
        return self._inspect(self._name(ref))

    def list_images(self) -> tuple[EngineImage, ...]:
        """List the images, and inspect those that were not listed before."""
        what = "list the engine's images"
        rows = self._ask_json("GET", "/images/json", what, list, {"all": "1"})
        images = []
        try:
            for row in rows:
                digest = Digest.parse(row["Id"])
                diff_ids = self._diff_ids.get(digest)
                if diff_ids is None and (image := self._inspect(str(digest))):
                    diff_ids = image.diff_ids
                if diff_ids is not None:  # else it was removed meanwhile
                    images.append(EngineImage(digest, diff_ids, parse_refs(row.get("RepoTags") or ())))
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
        with self._wire.stream() as connection:
            post_tar(connection, target, chunks, report=report, abort=abort or Abort())

    def tag(self, source: ImageRef, target: ImageRef) -> None:
        """Make a reference name an image."""
        what = f"tag {source} as {target}"
        query = {"repo": self._name(target).removesuffix(f":{target.tag}"), "tag": target.tag}
        answer = self._wire.ask("POST", f"/images/{self._name(source)}/tag", what, query=query)
        if answer.status == 404:
            raise ImageMissingError(f"could not {what}: {answer.message}")
        if answer.status >= 400:
            raise EngineAnswerError(f"could not {what}: {answer.message}")

    def untag(self, ref: ImageRef) -> None:
        """Remove a reference, and with an image's last one the image."""
        what = f"remove {ref}"
        answer = self._wire.ask("DELETE", f"/images/{self._name(ref)}", what)
        if answer.status == 409:
            raise EngineImageInUseError(f"could not {what}: {answer.message}")
        if answer.status >= 400 and answer.status != 404:
            raise EngineAnswerError(f"could not {what}: {answer.message}")

    def verify_unpacked(self, ref: ImageRef) -> None:
        """Make a container of the image and remove it; the classic store shows only what is unpacked."""
        if self.find_image(ref) is None:
            raise ImageMissingError(f"the engine does not have {ref}")
        if self.describe().id_kind is IdKind.MANIFEST:
            verify_container(self._wire, ref)

    def save(self, refs: Iterable[ImageRef]) -> Iterator[bytes | memoryview]:
        """Export images as `docker save` does."""
        what = "export the images"
        refs = tuple(refs)
        missing = [str(ref) for ref in refs if self.find_image(ref) is None]
        if missing:
            raise ImageMissingError(f"the engine does not have {', '.join(missing)}")
        target = self._wire.target("/images/get", {"names": [self._name(ref) for ref in refs]})
        with self._wire.stream() as connection:
            with errors_mapped(connection, what, EngineLoadError):
                connection.request("GET", target)
                response = connection.getresponse()
                if response.status != 200:
                    words = message_of(response.read(LIMITS.engine_error_bytes))
                    raise EngineLoadError(f"the engine could not {what}: {words}")
            while True:
                with errors_mapped(connection, what, EngineLoadError):
                    chunk = response.read(LIMITS.chunk_bytes)
                if not chunk:
                    break
                yield chunk
            if response.length:
                raise EngineLoadError(f"could not {what}: the engine stopped in the middle")

    def _name(self, ref: ImageRef) -> str:
        """Return what the engine calls a reference in its API."""
        return str(ref)

    def _ask_json(
        self, method: str, path: str, what: str, kind: type, query: dict[str, str] | None = None
    ) -> Any:
        return self._wire.ask(method, path, what, query=query).read_json(kind, what)

    def _inspect(self, name: str) -> EngineImage | None:
        what = f"ask the engine for {name}"
        answer = self._wire.ask("GET", f"/images/{name}/json", what)
        if answer.status == 404:
            return None
        facts = answer.read_json(dict, what)
        try:
            layers = facts["RootFS"].get("Layers") or ()
            image = EngineImage(parse_id(facts["Id"]), tuple(Digest.parse(text) for text in layers))
        except (KeyError, TypeError, AttributeError, ImageReferenceError) as error:
            raise EngineAnswerError(f"the engine described {name} in a way that makes no sense") from error
        self._diff_ids[image.id] = image.diff_ids
        return image

    def _find_data_root(self, stated: object) -> Path | None:
        """Return the engine's folder if it is on this machine, as far as that can be seen."""
        if not isinstance(stated, str) or not stated.startswith("/") or not self._wire.endpoint.is_local:
            return None
        folder = Path(stated)
        return folder if folder.is_dir() else None


def ask_version(wire: Wire) -> dict[str, Any]:
    """Ask an engine which API it speaks, and speak that from now on.

    Raises:
        EngineAnswerError: what answers is no engine.
    """
    what = "connect to the engine"
    answer = wire.ask("GET", "/version", what, timeout_s=LIMITS.engine_connect_timeout_s)
    facts: dict[str, Any] = answer.read_json(dict, what)
    version = facts.get("ApiVersion")
    if not isinstance(version, str) or not version.replace(".", "").isdigit():
        raise EngineAnswerError(f"could not {what}: what answers there is no engine")
    wire.prefix = f"/v{version}"
    return facts


def parse_id(text: str) -> Digest:
    """Parse an image's id."""
    return Digest.parse(text)


def parse_refs(texts: Iterable[object]) -> tuple[ImageRef, ...]:
    """Return the references among an image's names; ``<none>:<none>`` and the like are none."""
    refs = set()
    for text in texts:
        try:
            refs.add(ImageRef.parse(str(text)))
        except ImageReferenceError:
            continue
    return tuple(sorted(refs))
