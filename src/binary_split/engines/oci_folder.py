"""An OCI image layout folder as an engine: it runs nothing, and its images lie on disk in plaintext."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from binary_split.engines.api import (
    Abort,
    EngineDescription,
    EngineImage,
    IdKind,
    LoadSink,
    ignore_steps,
)
from binary_split.engines.layout_folder import IndexEntry, LayoutFolder, refs_of, with_ref, without_ref
from binary_split.errors import (
    ArchiveDamagedError,
    ArchiveFormatError,
    EngineAbortedError,
    EngineAnswerError,
    EngineLoadError,
    ImageIncompleteError,
    ImageMissingError,
)
from binary_split.files import sync_folder, write_atomically
from binary_split.model import Digest, ImageRef
from binary_split.oci.compression import Compression
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
            data_root=self._folder if self._folder.is_dir() else None,
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
        feed = _Feed(chunks, abort or Abort())
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".load-", dir=self._folder) as staging:
                with closing(_Stage(Path(staging))) as stage:
                    scanned = scan_images(feed, stage.keep)
                with self._locked():
                    self._commit(stage, scanned)
        except (OSError, ArchiveFormatError, ImageIncompleteError) as error:
            if error is feed.error:
                raise
            if isinstance(error, OSError):
                words = f"cannot write to {self._folder}: {error.strerror or error}"
            else:
                words = f"cannot load the images: {error}"
            raise EngineLoadError(words) from error

    def tag(self, source: ImageRef, target: ImageRef) -> None:
        """Name an image once more in the index."""
        if self._layout.find_entry(source) is None:
            raise ImageMissingError(f"the folder {self._folder} does not have {source}")
        with self._changing_index() as entries:
            entry = self._layout.find_entry(source)
            if entry is None:
                raise ImageMissingError(f"the folder {self._folder} does not have {source}")
            entries[:] = [*_without_refs(entries, {target}), with_ref(entry, target)]

    def untag(self, ref: ImageRef) -> None:
        """Take a reference out of the index, and remove the blobs that no entry leads to any more."""
        if self._layout.find_entry(ref) is None:
            return
        with self._changing_index() as entries:
            entry = self._layout.find_entry(ref)
            if entry is None:
                return
            kept = [row for row in _without_refs(entries, {ref}) if row != entry]
            try:
                unneeded = self._layout.reachable(entry)
                for row in kept:
                    unneeded -= self._layout.reachable(row)
            except ImageIncompleteError:
                unneeded = set()  # rather too much is kept than a blob that an image needs removed
            entries[:] = kept
        for digest in unneeded:
            (self._folder / blob_path(digest)).unlink(missing_ok=True)

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
        index["manifests"] = _without_refs(self._layout.entries(), replaced) + index["manifests"]
        return json.dumps(index, indent=2).encode()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep others, threads and processes, from changing the folder."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _changing_index(self) -> Iterator[list[IndexEntry]]:
        """Give the index's entries to be changed, and write it again unless that fails."""
        try:
            with self._locked():
                index = parse_json((self._folder / INDEX).read_bytes(), what=INDEX, kind=dict)
                entries = self._layout.entries()
                yield entries
                self._write(INDEX, json.dumps({**index, "manifests": entries}, indent=2).encode())
        except (OSError, ArchiveFormatError) as error:
            raise EngineAnswerError(f"cannot change {self._folder}: {error}") from error

    def _write(self, name: str, content: bytes) -> None:
        with write_atomically(self._folder / name) as file:
            file.write(content)


def _without_refs(entries: Iterable[IndexEntry], refs: set[ImageRef]) -> list[IndexEntry]:
    kept = []
    for entry in entries:
        left: IndexEntry | None = entry
        for ref in refs & refs_of(entry):
            left = without_ref(left, ref) if left else None
        if left:
            kept.append(left)
    return kept


class _Feed:
    """Gives what is loaded until that is aborted, and remembers the error that came out of it."""

    def __init__(self, chunks: Iterable[bytes | memoryview], abort: Abort) -> None:
        self.error: BaseException | None = None
        self._chunks = chunks
        self._abort = abort

    def __iter__(self) -> Iterator[bytes | memoryview]:
        chunks = iter(self._chunks)
        while not self._abort.is_set():
            try:
                chunk = next(chunks)
            except StopIteration:
                return
            except BaseException as error:
                self.error = error
                raise
            yield chunk
        raise EngineAbortedError("the load was ended before it was complete")


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
