"""Reading an OCI image layout folder, whoever made it.

Format: OCI image-spec 1.1, ``image-layout.md``, ``image-index.md``, ``manifest.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from binary_split.config import LIMITS
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
from binary_split.oci.layout import INDEX, LayoutImage, blob_path

_CONTAINERD_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"

IndexEntry = Mapping[str, Any]
"""A descriptor in ``index.json``."""


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
        path = self.folder / INDEX
        try:
            rows = parse_json(_read_bounded(path), what=str(path), kind=dict).get("manifests") or []
        except FileNotFoundError:
            return []
        except (OSError, ArchiveFormatError) as error:
            raise EngineAnswerError(f"cannot read {path}: {error}") from error
        if not all(isinstance(row, dict) for row in rows):
            raise EngineAnswerError(f"{path} is malformed")
        return list(rows)

    def find_entry(self, ref: ImageRef) -> IndexEntry | None:
        """Return a reference's newest entry; the only image of a layout may be named by its tag alone."""
        entries = self.entries()
        named = [entry for entry in entries if ref in refs_of(entry)]
        if not named and len(entries) == 1 and _is_named_by_tag_alone(entries[0], ref.tag):
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
                document = parse_json(self._read_document(row["digest"]), what="a manifest", kind=dict)
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


def refs_of(entry: IndexEntry) -> set[ImageRef]:
    """Return the references that an entry's annotations state in full."""
    refs = set()
    for key in (_CONTAINERD_NAME, _REF_NAME):
        text = str(_annotations(entry).get(key, ""))
        if "/" in text or ":" in text:
            try:
                refs.add(ImageRef.parse(text))
            except ImageReferenceError:
                continue  # an annotation may say anything; what is no reference names no image
    return refs


def without_ref(entry: IndexEntry, ref: ImageRef) -> IndexEntry | None:
    """Return an entry with one reference less; None where it was its last one."""
    if refs_of(entry) == {ref}:
        return None
    kept = {key: text for key, text in _annotations(entry).items() if not _states(key, text, ref)}
    return {**entry, "annotations": kept}


def with_ref(entry: IndexEntry, ref: ImageRef) -> IndexEntry:
    """Return an entry that names the same image by another reference, and by no other."""
    names = {_CONTAINERD_NAME: f"{ref.canonical_name}:{ref.tag}", _REF_NAME: ref.tag}
    return {**entry, "annotations": {**_annotations(entry), **names}}


def _states(key: str, text: object, ref: ImageRef) -> bool:
    return key in {_CONTAINERD_NAME, _REF_NAME} and refs_of({"annotations": {key: text}}) == {ref}


def _blobs_of(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    config = manifest.get("config")
    return [*([config] if config else ()), *(manifest.get("layers") or ())]


def _is_named_by_tag_alone(entry: IndexEntry, tag: str) -> bool:
    return not refs_of(entry) and _annotations(entry).get(_REF_NAME) == tag


def _platform_of(row: IndexEntry) -> str:
    """Return ``os/architecture[/variant]`` of an entry in an index for several platforms."""
    platform = row["platform"]
    return "/".join(filter(None, (platform["os"], platform["architecture"], platform.get("variant"))))


def _annotations(entry: IndexEntry) -> Mapping[str, Any]:
    annotations = entry.get("annotations")
    return annotations if isinstance(annotations, dict) else {}


def _read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LIMITS.manifest_bytes + 1)
    if len(content) > LIMITS.manifest_bytes:
        raise ArchiveFormatError(f"{path} is too large")
    return content
