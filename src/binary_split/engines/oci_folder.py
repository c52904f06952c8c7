"""An OCI image layout folder as an engine: it runs nothing, and its images lie on disk in plaintext."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from binary_split.engines.api import (
    Abort,
    EngineDescription,
    EngineImage,
    IdKind,
    LoadSink,
    ignore_steps,
)
from binary_split.engines.folder_stage import Feed, Stage, locked, staging
from binary_split.engines.layout_folder import LayoutFolder
from binary_split.engines.layout_refs import IndexEntry, refs_of, with_ref, without_refs
from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveFormatError,
    EngineAnswerError,
    EngineLoadError,
    ImageIncompleteError,
    ImageMissingError,
)
from binary_split.files import is_visible_folder, sync_folder, write_atomically
from binary_split.model import Digest, ImageRef
from binary_split.oci.compression import Compression
from binary_split.oci.images import parse_json
from binary_split.oci.layout import (
    INDEX,
    LAYOUT_VERSION,
    OCI_LAYOUT,
    LayoutTar,
    blob_path,
    serialise_index,
)
from binary_split.oci.scan import ScannedTar, scan_images


class OciFolder:
    """An OCI image layout folder; made at the first load."""

    def __init__(self, folder: Path, *, platform: str | None = None) -> None:
        self._folder = folder
        self._layout = LayoutFolder(folder, platform=platform)

    def describe(self) -> EngineDescription:
        """Say what it is."""
        return EngineDescription(
            kind="oci",
            version="1.1",
            store="plaintext folder",
            address=str(self._folder),
            id_kind=IdKind.CONFIG,
            compressions=frozenset(Compression),
            data_root=self._folder if is_visible_folder(self._folder) else None,
            parallel_loads=True,
        )

    def find_image(self, ref: ImageRef) -> EngineImage | None:
        """Return the image of that reference if every blob of it is there in its right size."""
        entry = self._layout.find_entry(ref)
        return None if entry is None else self._read(entry)

    def list_images(self) -> tuple[EngineImage, ...]:
        """Return the images that are whole; what is there for another platform is none of them."""
        refs: dict[Digest, set[ImageRef]] = {}
        images: dict[Digest, EngineImage] = {}
        for entry in self._layout.entries():
            if image := self._read(entry):
                images[image.id] = image
                refs.setdefault(image.id, set()).update(refs_of(entry))
        return tuple(
            EngineImage(image.id, image.diff_ids, tuple(sorted(refs[image.id]))) for image in images.values()
        )

    def load(
        self,
        chunks: Iterable[bytes | memoryview],
        *,
        report: LoadSink = ignore_steps,  # noqa: ARG002 - it has no phase of its own
        abort: Abort | None = None,
    ) -> None:
        """Add a tar's images to the folder; the index names them only when all of them are there."""
        feed = Feed(chunks, abort or Abort())
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with staging(self._folder) as stage:
                scanned = scan_images(feed, stage.keep)
                stage.close()
                with locked(self._folder):
                    self._commit(stage, scanned)
        except (OSError, ArchiveFormatError, ImageIncompleteError) as error:
            if error is feed.error:
                raise
            words = f"cannot load the images: {error}"
            if isinstance(error, OSError):
                words = f"cannot write to {self._folder}: {error.strerror or error}"
            raise EngineLoadError(words) from error

    def tag(self, source: ImageRef, target: ImageRef) -> None:
        """Name an image once more in the index."""
        with self._changing():
            entry = self._layout.find_entry(source)
            if entry is None:
                raise ImageMissingError(f"the folder {self._folder} does not have {source}")
            self._write_index([*without_refs(self._layout.entries(), {target}), with_ref(entry, target)])

    def untag(self, ref: ImageRef) -> None:
        """Take a reference out of the index, and remove the blobs that no entry leads to any more."""
        with self._changing():
            entry = self._layout.find_entry(ref)
            if entry is not None:
                rest = without_refs(self._layout.entries(), {ref})
                self._write_index([row for row in rest if row != entry])

    def verify_unpacked(self, ref: ImageRef) -> None:
        """Check that every blob is there: nothing is unpacked here."""
        entry = self._layout.find_entry(ref)
        if entry is None:
            raise ImageMissingError(f"the folder {self._folder} does not have {ref}")
        self._layout.read_image(entry, ref)

    def save(self, refs: Iterable[ImageRef]) -> Iterator[bytes | memoryview]:
        """Give images as a tar, their layers as they are stored."""
        images = []
        for ref in refs:
            entry = self._layout.find_entry(ref)
            if entry is None:
                raise ImageMissingError(f"the folder {self._folder} does not have {ref}")
            images.append(self._layout.read_image(entry, ref))
        layers = [layer for image in images for layer in image.layers]
        try:
            yield from LayoutTar(images, layers, self._layout.open_layer).chunks()
        except (ArchiveDamagedError, ArchiveFormatError) as error:
            raise ImageIncompleteError(f"a layer in {self._folder} is damaged") from error

    def _read(self, entry: IndexEntry) -> EngineImage | None:
        try:
            image = self._layout.read_image(entry)
        except ImageIncompleteError:
            return None
        return EngineImage(image.config.digest, image.config.diff_ids)

    def _commit(self, stage: Stage, scanned: ScannedTar) -> None:
        blobs = self._folder / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        for name in {name for image in scanned.images for name in image.layers}:
            stage.move(name, self._folder / blob_path(scanned.blobs[name].digest))
        images = scanned.layout()
        for image in images:
            self._write(blob_path(image.config.digest), image.config.content)
            self._write(blob_path(image.manifest_digest), image.manifest)
        sync_folder(blobs)
        self._write(OCI_LAYOUT, LAYOUT_VERSION)
        replaced = {ref for image in images for ref in image.refs}
        added = parse_json(serialise_index(images), what=INDEX, kind=dict)["manifests"]
        self._write_index([*without_refs(self._layout.entries(), replaced), *added])

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Keep others from changing the folder meanwhile; one that is not there has no images."""
        if not is_visible_folder(self._folder):
            yield
            return
        try:
            with locked(self._folder):
                yield
        except OSError as error:
            raise EngineAnswerError(f"cannot change {self._folder}: {error.strerror or error}") from error

    def _write_index(self, entries: list[IndexEntry]) -> None:
        """Write the index, and remove what only entries that are in it no more led to."""
        unneeded = self._only_reachable(
            [entry for entry in self._layout.entries() if entry not in entries], entries
        )
        index = {**self._layout.read_index(), "manifests": entries}
        self._write(INDEX, json.dumps(index, indent=2).encode())
        for digest in unneeded:
            (self._folder / blob_path(digest)).unlink(missing_ok=True)

    def _only_reachable(self, gone: list[IndexEntry], kept: list[IndexEntry]) -> set[Digest]:
        """Return the blobs that some entries lead to and others do not; none if that cannot be told."""
        try:
            found = {digest for entry in gone for digest in self._layout.reachable(entry)}
            return found.difference(*map(self._layout.reachable, kept)) if found else found
        except ImageIncompleteError:
            return set()

    def _write(self, name: str, content: bytes) -> None:
        with write_atomically(self._folder / name) as file:
            file.write(content)
