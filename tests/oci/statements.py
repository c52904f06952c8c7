"""Release statements and keys for tests: always the same ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from binary_split.model import Digest, ImageRef
from binary_split.oci.publisher_key import PrivateKey
from binary_split.oci.statement import ArchiveDigest, ReleaseStatement, StatedBlob, StatedImage


def digest(number: int) -> Digest:
    return Digest(f"{number:064x}")


def private_key(number: int) -> PrivateKey:
    return PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


FLIGHTS = StatedImage(
    ImageRef("azaion/flights", "1.0.0"), digest(1), digest(2), (digest(10), digest(11)), "linux/amd64"
)
DETECTIONS = StatedImage(
    ImageRef("azaion/detections", "1.0.0"), digest(3), digest(4), (digest(10),), "linux/arm64/v8"
)
DOCUMENTS = tuple(StatedBlob(digest(number), 100 + number, None, None) for number in (1, 2, 3, 4))
LAYERS = (StatedBlob(digest(10), 10_240, digest(10), 10_240), StatedBlob(digest(20), 900, digest(11), 4_096))

STATEMENT = ReleaseStatement(
    product="azaion",
    version="1.0.0",
    sequence=7,
    created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    images=(FLIGHTS, DETECTIONS),
    blobs=(*DOCUMENTS, *LAYERS),
)
BESIDE_CBC = replace(STATEMENT, blobs=LAYERS, archive=ArchiveDigest(digest(99), 123_456))
