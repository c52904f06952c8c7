"""An OCI image layout folder as an engine: it runs nothing, and its images lie on disk in plaintext."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from binary_split.engines import EngineDescription, EngineImage, IdKind
from binary_split.engines.layout_folder import LayoutFolder, refs_of
from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveFormatError,
    EngineLoadError,
    ImageIncompleteError,
    ImageMissingError,
)
from binary_split.files import sync_folder, write_atomically
from binary_split.model import ImageRef
from binary_split.oci.images import parse_json
from binary_split.oci.layout import (
    INDEX,
    LAYOUT_VERSION,
    OCI_LAYOUT,
    LayoutImage,
    LayoutTar,
    blob_path,
    serialise_index,
)
from binary_split.oci.scan import ScannedTar, scan_images


class OciFolder:
    """An OCI image layout folder; made at the first load."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._layout = LayoutFolder(folder)

    def describe(self) -> EngineDescription:
        """Say what it is."""
        return EngineDescription("oci", "1.1", "plaintext folder", str(self._folder), IdKind.CONFIG)

    def find_image(self, ref: ImageRef) -> EngineImage | None:
        """Return the image of that reference if every blob of it is there in its right size."""
        entry = self._layout.find_entry(ref)
        if entry is None:
            return None
        try:
            image = self._layout.read_image(ref, entry)
        except ImageIncompleteError:
            return None
        return EngineImage(image.config.digest, image.config.diff_ids)

    def load(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Add a tar's images to the folder; the index names them only when all of them are there."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".load-", dir=self._folder) as staging:
                with closing(_Stage(Path(staging))) as stage:
                    scanned = scan_images(chunks, stage.keep)
                self._commit(stage, scanned)
        except OSError as error:
            raise EngineLoadError(f"cannot write to {self._folder}: {error.strerror or error}") from error
        except ArchiveFormatError as error:
            raise EngineLoadError(f"cannot load the images: {error}") from error

    def save(self, refs: Iterable[ImageRef]) -> Iterator[bytes | memoryview]:
        """Give images as a tar, their layers as they are stored."""
        images = []
        for ref in refs:
            entry = self._layout.find_entry(ref)
            if entry is None:
                raise ImageMissingError(f"the folder {self._folder} does not have {ref}")
            images.append(self._layout.read_image(ref, entry))
        layers = [layer for image in images for layer in image.layers]
        try:
            yield from LayoutTar(images, layers, self._layout.open_layer).chunks()
        except (ArchiveDamagedError, ArchiveFormatError) as error:
            raise ImageIncompleteError(f"a layer in {self._folder} is damaged") from error

    def _commit(self, stage: _Stage, scanned: ScannedTar) -> None:
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
        self._write(INDEX, self._merge_index(images))

    def _merge_index(self, images: tuple[LayoutImage, ...]) -> bytes:
        """Return the index with the new entries in the place of those of the same references."""
        index = parse_json(serialise_index(images), what=INDEX, kind=dict)
        replaced = {ref for image in images for ref in image.refs}
        kept = [entry for entry in self._layout.entries() if not replaced & refs_of(entry)]
        index["manifests"] = kept + index["manifests"]
        return json.dumps(index, indent=2).encode()

    def _write(self, name: str, content: bytes) -> None:
        with write_atomically(self._folder / name) as file:
            file.write(content)


class _Stage:
    """Where a load's blobs wait until all are checked; its files are numbered, never named by the tar."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[str, Path] = {}
        self._file: BinaryIO | None = None

    def keep(self, name: str, chunk: memoryview) -> None:
        """Append to the file of a member; members come one after the other."""
        if name not in self._paths:
            self.close()
            self._paths[name] = self._folder / str(len(self._paths))
            self._file = self._paths[name].open("wb")
        if self._file:
            self._file.write(chunk)

    def close(self) -> None:
        """Bring the last file to disk."""
        if self._file:
            with self._file as file:
                file.flush()
                os.fsync(file.fileno())
            self._file = None

    def move(self, name: str, target: Path) -> None:
        """Give a member's file its final name; the same blob under another member's name is enough."""
        if not target.exists():
            self._paths[name].replace(target)
