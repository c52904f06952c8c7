"""What the journal writes down: releases that were installed, and the transaction that is under way."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from binary_split.errors import ImageReferenceError, JournalError
from binary_split.model import Digest, ImageRef
from binary_split.unlock.checking import ExpectedImage

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class InstalledRelease:
    """A release whose images were all proven to be in an engine.

    Attributes:
        archive: names the archive that it came from, by :func:`~binary_split.unlock.opening.name_archive`.
        images: what the engine must have, and in what form it was sent.
        installed: when; UTC in ISO 8601.
        product: of the release statement; None where only pins said what the release is, as with the next.
        version: of the release.
        sequence: grows within the product.
        envelope: the signed statement, as it was verified; whoever reads it verifies it again.
    """

    archive: str
    images: tuple[ExpectedImage, ...]
    installed: str
    product: str | None = None
    version: str | None = None
    sequence: int | None = None
    envelope: bytes | None = None

    def serialise(self) -> bytes:
        """Return the record as JSON."""
        return _serialise(
            {
                "archive": self.archive,
                "installed": self.installed,
                "product": self.product,
                "version": self.version,
                "sequence": self.sequence,
                "envelope": None if self.envelope is None else base64.b64encode(self.envelope).decode(),
                "images": [_describe_image(image) for image in self.images],
            }
        )

    @classmethod
    def parse(cls, content: bytes) -> InstalledRelease:
        """Parse a record.

        Raises:
            JournalError: it is none.
        """
        return _parse(content, cls.from_json)

    @classmethod
    def from_json(cls, document: Any) -> InstalledRelease:
        """Return the record that was parsed; what is malformed shows as KeyError, TypeError or ValueError."""
        envelope = document["envelope"]
        return cls(
            archive=_typed(document["archive"], str),
            images=tuple(map(_parse_image, document["images"])),
            installed=_typed(document["installed"], str),
            product=_typed(document["product"], str, type(None)),
            version=_typed(document["version"], str, type(None)),
            sequence=_typed(document["sequence"], int, type(None)),
            envelope=None if envelope is None else base64.b64decode(envelope, validate=True),
        )


@dataclass(frozen=True, slots=True)
class Move:
    """A reference that is to name what now has a staging name."""

    staging: ImageRef
    ref: ImageRef


@dataclass(frozen=True, slots=True)
class Transaction:
    """A load that is under way.

    Attributes:
        name: of the transaction, part of its staging names.
        moves: what is to be done when everything is proven.
        release: what is installed then.
        is_committing: whether the moves have begun: then they are all made, by the next run if need be;
            before, they are all forgotten.
    """

    name: str
    moves: tuple[Move, ...]
    release: InstalledRelease
    is_committing: bool = False

    def serialise(self) -> bytes:
        """Return the record as JSON."""
        return _serialise(
            {
                "name": self.name,
                "is_committing": self.is_committing,
                "moves": [[str(move.staging), str(move.ref)] for move in self.moves],
                "release": json.loads(self.release.serialise()),
            }
        )

    @classmethod
    def parse(cls, content: bytes) -> Transaction:
        """Parse a record.

        Raises:
            JournalError: it is none.
        """
        return _parse(
            content,
            lambda document: cls(
                name=_typed(document["name"], str),
                moves=tuple(
                    Move(ImageRef.parse(staging), ImageRef.parse(ref)) for staging, ref in document["moves"]
                ),
                release=InstalledRelease.from_json(document["release"]),
                is_committing=_typed(document["is_committing"], bool),
            ),
        )


def _describe_image(image: ExpectedImage) -> dict[str, Any]:
    return {
        "ref": str(image.ref),
        "config": None if image.config_digest is None else str(image.config_digest),
        "manifest": None if image.manifest_digest is None else str(image.manifest_digest),
        "diff_ids": None if image.diff_ids is None else [str(diff_id) for diff_id in image.diff_ids],
        "blobs": [str(blob) for blob in image.blobs],
    }


def _parse_image(row: Any) -> ExpectedImage:
    config, manifest, diff_ids = row["config"], row["manifest"], row["diff_ids"]
    return ExpectedImage(
        ImageRef.parse(row["ref"]),
        None if config is None else Digest.parse(config),
        None if manifest is None else Digest.parse(manifest),
        None if diff_ids is None else tuple(map(Digest.parse, diff_ids)),
        tuple(map(Digest.parse, row["blobs"])),
    )


def _typed(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise TypeError
    return value


def _serialise(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode()


def _parse(content: bytes, build: Callable[[Any], _T]) -> _T:
    try:
        return build(json.loads(content))
    except (ValueError, LookupError, TypeError, binascii.Error, RecursionError, ImageReferenceError) as error:
        raise JournalError("a file of the journal is malformed") from error
