"""The release statement: what a release is, for the publisher to sign. Pure bytes.

Format: an in-toto Statement v1 (in-toto/attestation ``spec/v1/statement.md``) with a predicate of our own;
``docs/release-statement.md`` is the whole of it. It is read only in the one form in which it is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError, ImageReferenceError
from binary_split.model import Digest, is_tag
from binary_split.oci.images import parse_json
from binary_split.oci.stated import (
    INTEGER_MAX,
    ArchiveDigest,
    StatedBlob,
    StatedImage,
    verify_integer,
)

__all__ = ["ArchiveDigest", "ReleaseStatement", "StatedBlob", "StatedImage", "is_product"]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:binary-split:release:v1"
ARCHIVE_SUBJECT = "archive"
"""The subject that is a `cbc` archive; an image's name has a tag, so none is called this."""

_WHAT = "the release statement"
_PRODUCT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def is_product(text: str) -> bool:
    """Tell whether a text can be a product's name."""
    return _PRODUCT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class ReleaseStatement:
    """A release, as its publisher states it.

    Attributes:
        product: what the release is a version of: ``[a-z0-9][a-z0-9._-]{0,63}``; sequences count within it.
        version: the release's version; a valid tag.
        sequence: grows with every release of the product, so that an older one is known; 0 to 2^53-1.
        created: when; UTC, whole seconds.
        images: at least one, each reference once.
        blobs: in the order of the archive's tar, each once.
        archive: the `cbc` archive that the statement lies beside; None within an `age` archive.

    Raises:
        ArchiveFormatError: a value is out of its bounds, something stands twice, or a blob is missing.
    """

    product: str
    version: str
    sequence: int
    created: datetime
    images: tuple[StatedImage, ...]
    blobs: tuple[StatedBlob, ...]
    archive: ArchiveDigest | None = None

    def __post_init__(self) -> None:
        if not is_product(self.product):
            raise ArchiveFormatError(f"{_WHAT} names the product {self.product[:100]!r}, which is no name")
        if not is_tag(self.version):
            raise ArchiveFormatError(f"{_WHAT} names the version {self.version[:100]!r}, which is no tag")
        verify_integer(self.sequence, "the release's sequence", INTEGER_MAX)
        if self.created.utcoffset() != timedelta(0) or self.created.microsecond:
            raise ArchiveFormatError(f"{_WHAT} must be dated in UTC and whole seconds")
        if not self.images:
            raise ArchiveFormatError(f"{_WHAT} names no image")
        _verify_once((image.ref for image in self.images), "the image")
        _verify_once((blob.digest for blob in self.blobs), "the blob")
        _verify_layers(self.images, self.blobs)
        if self.archive is None:
            _verify_documents(self.images, self.blobs)

    @classmethod
    def parse(cls, content: bytes) -> ReleaseStatement:
        """Parse the canonical form and nothing else.

        Args:
            content: JSON, verified before this or read as unverified on purpose.

        Raises:
            ArchiveFormatError: it is anything that ``serialise`` would not write.
        """
        if len(content) > LIMITS.statement_bytes:
            raise ArchiveFormatError(f"{_WHAT} is longer than {LIMITS.statement_bytes} bytes")
        document = parse_json(content, what=_WHAT, kind=dict)
        try:
            statement = _from_json(document)
            # unknown fields, other spellings, subjects that differ from the images: all of it shows here
            is_canonical = statement.serialise() == content
        except (LookupError, TypeError, ValueError, AttributeError, ImageReferenceError) as error:
            raise ArchiveFormatError(f"{_WHAT} is malformed") from error
        if not is_canonical:
            raise ArchiveFormatError(f"{_WHAT} is not in the form in which it is written")
        return statement

    def serialise(self) -> bytes:
        """Return the canonical form: JSON in UTF-8, keys sorted, no spaces.

        Raises:
            ArchiveFormatError: it would be longer than can be read again.
        """
        document = {
            "_type": STATEMENT_TYPE,
            "subject": self._subjects(),
            "predicateType": PREDICATE_TYPE,
            "predicate": self._predicate(),
        }
        content = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if len(content) > LIMITS.statement_bytes:
            raise ArchiveFormatError(f"{_WHAT} would be longer than {LIMITS.statement_bytes} bytes")
        return content

    def _subjects(self) -> list[dict[str, Any]]:
        subjects = [_subject(str(image.ref), image.config) for image in self.images]
        if self.archive is not None:
            subjects.append(_subject(ARCHIVE_SUBJECT, self.archive.sha256))
        return subjects

    def _predicate(self) -> dict[str, Any]:
        predicate: dict[str, Any] = {
            "product": self.product,
            "version": self.version,
            "sequence": self.sequence,
            "created": self.created.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z",
            "images": [image.to_json() for image in self.images],
            "blobs": [blob.to_json() for blob in self.blobs],
        }
        if self.archive is not None:
            predicate["archive"] = self.archive.to_json()
        return predicate


def _subject(name: str, digest: Digest) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest.hex}}


def _from_json(document: dict[str, Any]) -> ReleaseStatement:
    predicate = document["predicate"]
    return ReleaseStatement(
        product=predicate["product"],
        version=predicate["version"],
        sequence=predicate["sequence"],
        created=datetime.fromisoformat(predicate["created"]),
        images=tuple(map(StatedImage.from_json, predicate["images"])),
        blobs=tuple(map(StatedBlob.from_json, predicate["blobs"])),
        archive=ArchiveDigest.from_json(predicate["archive"]) if "archive" in predicate else None,
    )


def _verify_once(names: Iterable[Hashable], what: str) -> None:
    seen: set[Hashable] = set()
    for name in names:
        if name in seen:
            raise ArchiveFormatError(f"{_WHAT} names {what} {name} twice")
        seen.add(name)


def _verify_layers(images: Iterable[StatedImage], blobs: Iterable[StatedBlob]) -> None:
    """Check that each layer of each image is in the archive."""
    stated = {blob.diff_id for blob in blobs}
    for image in images:
        for diff_id in image.diff_ids:
            if diff_id not in stated:
                raise ArchiveFormatError(f"{_WHAT} names no blob for the layer {diff_id} of {image.ref}")


def _verify_documents(images: tuple[StatedImage, ...], blobs: Iterable[StatedBlob]) -> None:
    """Check that an `age` archive's blobs are its images' configs, manifests and layers, and no others.

    A `cbc` archive may hold a tar that another program wrote: with other manifests, or none.
    """
    documents = {digest for image in images for digest in (image.config, image.manifest)}
    diff_ids = {diff_id for image in images for diff_id in image.diff_ids}
    stated = {blob.digest for blob in blobs if blob.diff_id is None}
    if missing := sorted(documents - stated):
        raise ArchiveFormatError(f"{_WHAT} names no blob for the config or manifest {missing[0]}")
    for blob in blobs:
        if (blob.digest not in documents) if blob.diff_id is None else (blob.diff_id not in diff_ids):
            raise ArchiveFormatError(f"{_WHAT} names the blob {blob.digest}, which no image has")
