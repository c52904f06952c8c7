"""Reading an OCI image layout folder, whoever made it.

Format: OCI image-spec 1.1, ``image-layout.md``, ``image-index.md``, ``manifest.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from binary_split.config import LIMITS
from binary_split.engines.layout_refs import IndexEntry, is_named_by_tag_alone, refs_of
from binary_split.errors import (
    ArchiveFormatError,
    EngineAnswerError,
    ImageIncompleteError,
    ImageReferenceError,
)
from binary_split.model import Digest, ImageRef
from binary_split.oci.blob import Blob, hash_bytes
from binary_split.oci.compression import detect_compression
from binary_split.oci.images import ImageConfig, parse_json
from binary_split.oci.layout import INDEX, LayoutImage, blob_path, serialise_index


class LayoutFolder:
    """An OCI image layout folder, read only."""

    def __init__(self, folder: Path, *, platform: str | None = None) -> None:
        self.folder = folder
        self._platform = platform

    def entries(self) -> list[IndexEntry]:
        """Return the entries of the index; none where there is no index.

        Raises:
            EngineAnswerError: the index cannot be read.
        """
        rows = self.read_index().get("manifests") or []
        if not all(isinstance(row, dict) for row in rows):
            raise EngineAnswerError(f"{self.folder / INDEX} is malformed")
        return list(rows)

    def read_index(self) -> dict[str, Any]:
        """Return the index; a new one where there is none.

        Raises:
            EngineAnswerError: it cannot be read.
        """
        path = self.folder / INDEX
        try:
            index: dict[str, Any] = parse_json(_read_bounded(path), what=str(path), kind=dict)
        except FileNotFoundError:
            return parse_json(serialise_index(()), what=INDEX, kind=dict)
        except (OSError, ArchiveFormatError) as error:
            raise EngineAnswerError(f"cannot read {path}: {error}") from error
        return index

    def find_entry(self, ref: ImageRef) -> IndexEntry | None:
        """Return a reference's newest entry; the only image of a layout may be named by its tag alone."""
        entries = self.entries()
        named = [entry for entry in entries if ref in refs_of(entry)]
        if not named and len(entries) == 1 and is_named_by_tag_alone(entries[0], ref.tag):
            named = entries
        return named[-1] if named else None

    def read_image(self, entry: IndexEntry, *refs: ImageRef) -> LayoutImage:
        """Read an image's documents, and check that its layers are there in their right sizes.

        Args:
            entry: leads to it.
            refs: what it is to be called.

        Raises:
            ImageIncompleteError: a part is missing or malformed.
        """
        title = refs[0] if refs else "an image"
        try:
            manifest = self._read_manifest(entry)
            config = ImageConfig.parse(self._read_document(manifest["config"]["digest"]))
            rows = zip(manifest["layers"], config.diff_ids, strict=True)
            layers = tuple(self._find_layer(row, diff_id) for row, diff_id in rows)
        except OSError as error:
            raise ImageIncompleteError(f"{title} in {self.folder} lacks a blob: {error}") from error
        except (KeyError, TypeError, ValueError, ImageReferenceError, ArchiveFormatError) as error:
            raise ImageIncompleteError(f"{title} in {self.folder} is malformed: {error}") from error
        return LayoutImage(refs, config, layers)

    def reachable(self, entry: IndexEntry) -> set[Digest]:
        """Return every blob that an entry leads to, through an index for several platforms too.

        Raises:
            ImageIncompleteError: a document on the way cannot be read.
        """
        found: set[Digest] = set()
        try:
            rows = [entry]
            while rows:
                row = rows.pop()
                found.add(Digest.parse(row["digest"]))
                try:
                    document = parse_json(self._read_document(row["digest"]), what="a manifest", kind=dict)
                except FileNotFoundError:
                    continue  # a platform that was not copied here
                rows += document.get("manifests") or ()
                found |= {Digest.parse(blob["digest"]) for blob in _blobs_of(document)}
        except (OSError, KeyError, TypeError, ValueError, ImageReferenceError, ArchiveFormatError) as error:
            raise ImageIncompleteError(f"an image in {self.folder} is malformed: {error}") from error
        return found

    def open_layer(self, layer: Blob) -> Iterator[bytes]:
        """Give a layer's bytes as stored.

        Raises:
            ImageIncompleteError: it cannot be read.
        """
        try:
            with (self.folder / blob_path(layer.digest)).open("rb", buffering=0) as file:
                while chunk := file.read(LIMITS.chunk_bytes):
                    yield chunk
        except OSError as error:
            raise ImageIncompleteError(f"cannot read {error.filename}: {error.strerror}") from error

    def _read_manifest(self, entry: IndexEntry) -> dict[str, Any]:
        """Follow an entry to an image manifest; an index must lead to one image, attestations aside."""
        document = parse_json(self._read_document(entry["digest"]), what="a manifest", kind=dict)
        if "manifests" not in document:
            return document
        rows = [row for row in document["manifests"] if row.get("platform", {}).get("os") != "unknown"]
        if self._platform is not None:
            rows = [row for row in rows if _platform_of(row) == self._platform]
        if len(rows) != 1:
            wanted = f" {self._platform}" if self._platform else ""
            raise ValueError(f"it is for {len(rows)} platforms{wanted}; name one of them with --platform")
        return self._read_manifest(rows[0])

    def _read_document(self, digest_text: str) -> bytes:
        digest = Digest.parse(digest_text)
        content = _read_bounded(self.folder / blob_path(digest))
        if hash_bytes(content) != digest:
            raise ValueError(f"the blob {digest} is damaged")
        return content

    def _find_layer(self, row: Mapping[str, Any], diff_id: Digest) -> Blob:
        digest = Digest.parse(row["digest"])
        with (self.folder / blob_path(digest)).open("rb") as file:
            compression = detect_compression(file.read(4))
            if file.seek(0, 2) != row["size"]:
                raise ValueError(f"the blob {digest} is damaged")
        return Blob(digest, diff_id, row["size"], compression)


def _blobs_of(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    config = manifest.get("config")
    return [*([config] if config else ()), *(manifest.get("layers") or ())]


def _platform_of(row: IndexEntry) -> str:
    """Return ``os/architecture[/variant]`` of an entry in an index for several platforms."""
    platform = row["platform"]
    return "/".join(filter(None, (platform["os"], platform["architecture"], platform.get("variant"))))


def _read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LIMITS.manifest_bytes + 1)
    if len(content) > LIMITS.manifest_bytes:
        raise ArchiveFormatError(f"{path} is too large")
    return content
