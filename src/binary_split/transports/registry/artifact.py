"""The manifest of an artifact that is an archive, written and read.

OCI image-spec 1.1, "Guidelines for Artifact Usage": an image manifest with ``artifactType`` and one layer,
the archive as it is.
"""

from __future__ import annotations

import json
import re
from typing import Any

from binary_split.errors import RegistryError
from binary_split.oci.blob import hash_bytes
from binary_split.transports.registry.reference import RegistryReference

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ARTIFACT = "application/vnd.binary-split.archive.v1"
EMPTY_CONTENT = b"{}"
_EMPTY = "application/vnd.oci.empty.v1+json"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


def serialise_manifest(digest: str, size: int, annotations: dict[str, str]) -> bytes:
    """Return the manifest of an artifact that is an archive."""
    empty = {"mediaType": _EMPTY, "digest": str(hash_bytes(EMPTY_CONTENT)), "size": len(EMPTY_CONTENT)}
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": empty,
        "layers": [{"mediaType": ARTIFACT, "digest": digest, "size": size, "annotations": annotations}],
        "annotations": annotations,
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def parse_manifest(content: bytes, reference: RegistryReference) -> str:
    """Return the digest of the archive.

    Raises:
        RegistryError: there is none in it.
    """
    try:
        document: Any = json.loads(content)
        (layer,) = document["layers"]
        digest = layer["digest"]
        is_archive = ARTIFACT in {document.get("artifactType"), layer["mediaType"]}
    except _NONSENSE as error:
        raise _no_archive(reference) from error
    if not is_archive or not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise _no_archive(reference)
    return digest


def parse_index(content: bytes) -> str | None:
    """Return the digest of the one manifest of an archive in an image index; None: it is no such index.

    Some tools that copy artifacts put an index around each.
    """
    try:
        rows: Any = json.loads(content)["manifests"]
        (digest,) = (row["digest"] for row in rows if row.get("artifactType") == ARTIFACT)
    except _NONSENSE:
        return None
    return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None


def _no_archive(reference: RegistryReference) -> RegistryError:
    return RegistryError(f"{reference} holds no archive", hint="Push it with `binary-split push`.")
