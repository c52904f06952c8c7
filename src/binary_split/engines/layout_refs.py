"""What the entries of an OCI layout's index name: by containerd's annotation, or by the specification's.

Format: OCI image-spec 1.1, ``annotations.md``; containerd writes the full name into one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from binary_split.errors import ImageReferenceError
from binary_split.model import ImageRef

_CONTAINERD_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"

IndexEntry = Mapping[str, Any]
"""A descriptor in ``index.json``."""


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


def without_refs(entries: Iterable[IndexEntry], refs: set[ImageRef]) -> list[IndexEntry]:
    """Return the entries without some references; one that loses its last reference is left out."""
    kept = []
    for entry in entries:
        left: IndexEntry | None = entry
        for ref in refs & refs_of(entry):
            left = _without_ref(left, ref) if left else None
        if left:
            kept.append(left)
    return kept


def _without_ref(entry: IndexEntry, ref: ImageRef) -> IndexEntry | None:
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


def is_named_by_tag_alone(entry: IndexEntry, tag: str) -> bool:
    """Whether an entry that states no reference in full has this tag."""
    return not refs_of(entry) and _annotations(entry).get(_REF_NAME) == tag


def _annotations(entry: IndexEntry) -> Mapping[str, Any]:
    annotations = entry.get("annotations")
    return annotations if isinstance(annotations, dict) else {}
