"""What a release statement states: its images, its blobs, and for a `cbc` archive the archive. Pure values.

Each knows its JSON form and refuses to be what no statement may say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError
from binary_split.model import Digest, ImageRef

INTEGER_MAX = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""

_PLATFORM = re.compile(r"[A-Za-z0-9._-]{1,64}(/[A-Za-z0-9._-]{1,64}){1,2}")


@dataclass(frozen=True, slots=True)
class StatedBlob:
    """A blob as it lies in the archive's tar.

    Attributes:
        digest: of its bytes as stored.
        size: as stored, in bytes.
        diff_id: of a layer, the digest of its bytes uncompressed; None for a config or a manifest.
        plain_size: of a layer, its length uncompressed, in bytes; None for a config or a manifest.

    Raises:
        ArchiveFormatError: the values contradict each other or are out of bounds.
    """

    digest: Digest
    size: int
    diff_id: Digest | None
    plain_size: int | None

    def __post_init__(self) -> None:
        verify_integer(self.size, "a blob's size", LIMITS.layer_bytes)
        if (self.diff_id is None) != (self.plain_size is None):
            raise ArchiveFormatError(f"the blob {self.digest} is stated as half a layer")
        if self.plain_size is not None:
            verify_integer(self.plain_size, "a layer's size", LIMITS.layer_bytes)
        if self.diff_id == self.digest and self.plain_size != self.size:
            raise ArchiveFormatError(f"the uncompressed layer {self.digest} is stated with two sizes")

    @classmethod
    def from_json(cls, entry: Any) -> StatedBlob:
        """Parse an entry; what is missing or of a wrong type shows as KeyError or TypeError."""
        diff_id = Digest.parse(entry["diff_id"]) if "diff_id" in entry else None
        return cls(Digest.parse(entry["digest"]), entry["size"], diff_id, entry.get("plain_size"))

    def to_json(self) -> dict[str, Any]:
        """Return the entry."""
        entry: dict[str, Any] = {"digest": str(self.digest), "size": self.size}
        if self.diff_id is not None:
            entry |= {"diff_id": str(self.diff_id), "plain_size": self.plain_size}
        return entry


@dataclass(frozen=True, slots=True)
class StatedImage:
    """An image of the release.

    Attributes:
        config: its config digest.
        manifest: the digest of its OCI manifest.
        diff_ids: of its layers, lowest first.
        platform: ``os/architecture`` or ``os/architecture/variant``.

    Raises:
        ArchiveFormatError: the platform is none.
    """

    ref: ImageRef
    config: Digest
    manifest: Digest
    diff_ids: tuple[Digest, ...]
    platform: str

    def __post_init__(self) -> None:
        if not _PLATFORM.fullmatch(self.platform):
            raise ArchiveFormatError(f"{self.ref} is stated with the platform {self.platform[:100]!r}")

    @classmethod
    def from_json(cls, entry: Any) -> StatedImage:
        """Parse an entry; what is missing or of a wrong type shows as KeyError or TypeError."""
        return cls(
            ref=ImageRef.parse(entry["reference"]),
            config=Digest.parse(entry["config"]),
            manifest=Digest.parse(entry["manifest"]),
            diff_ids=tuple(Digest.parse(text) for text in entry["diff_ids"]),
            platform=entry["platform"],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry."""
        return {
            "reference": str(self.ref),
            "config": str(self.config),
            "manifest": str(self.manifest),
            "diff_ids": [str(diff_id) for diff_id in self.diff_ids],
            "platform": self.platform,
        }


@dataclass(frozen=True, slots=True)
class ArchiveDigest:
    """A whole `cbc` archive, which the statement lies beside.

    Attributes:
        sha256: of the file's bytes.
        size: of the file, in bytes.

    Raises:
        ArchiveFormatError: the size is out of bounds.
    """

    sha256: Digest
    size: int

    def __post_init__(self) -> None:
        verify_integer(self.size, "the archive's size", INTEGER_MAX)

    @classmethod
    def from_json(cls, entry: Any) -> ArchiveDigest:
        """Parse an entry; what is missing or of a wrong type shows as KeyError or TypeError."""
        return cls(Digest.parse(entry["sha256"]), entry["size"])

    def to_json(self) -> dict[str, Any]:
        """Return the entry."""
        return {"sha256": str(self.sha256), "size": self.size}


def verify_integer(value: object, what: str, maximum: int) -> None:
    """Check that a value is an integer from 0 to a maximum.

    Raises:
        ArchiveFormatError: it is not; True and 1.0 are not either.
    """
    if type(value) is not int or not 0 <= value <= maximum:
        raise ArchiveFormatError(f"{what} must be an integer from 0 to {maximum}")
