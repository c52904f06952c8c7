"""Make the vectors in ``tests/vectors/archive-v1`` anew.

The plaintext tars are the same in every run with the same zstd and zlib; the ciphertexts are not, so
run this only to change the vectors. Every secret here is public, and for nothing but tests.

Usage: ``python -m scripts.make_vectors [FOLDER]``
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from binary_split.archive.age import FragmentIdentity, FragmentRecipient, Recipient, X25519Identity
from binary_split.archive.age.bech32 import encode_bech32
from binary_split.archive.age.rekey import add_recipients
from binary_split.archive.cbc import CbcWriter
from binary_split.model import Digest, Fragment
from binary_split.oci.compression import Compression
from binary_split.oci.publisher_key import PrivateKey
from binary_split.oci.release_tar import order_layers, state_blobs, state_images
from binary_split.oci.signature import sign_statement, unsigned_envelope
from binary_split.oci.stated import ArchiveDigest
from binary_split.oci.statement import ReleaseStatement
from binary_split.oci.tar import END, serialise_header
from scripts.vector_releases import (
    CREATED,
    VERSION,
    Images,
    Sign,
    members,
    one_image,
    open_plain,
    seal,
    seal_plain,
    two_images,
)

FOLDER = Path(__file__).parents[1] / "tests/vectors/archive-v1"
WRONG_FILE = "fragment-wrong"
KEY_ID = "vectors-1"
ADDED_KEY_ID = "vectors-2"


def secret(name: str) -> bytes:
    """Return 32 bytes that anybody can compute."""
    return hashlib.sha256(f"binary-split test vectors: {name}".encode()).digest()


FRAGMENT, ADDED, WRONG = (Fragment(secret(name)) for name in ("fragment", "added fragment", "wrong fragment"))
IDENTITY = X25519Identity(secret("identity"))
PUBLISHER, STRANGER = (
    PrivateKey(Ed25519PrivateKey.from_private_bytes(secret(name))) for name in ("publisher", "stranger")
)
RECIPIENTS: list[Recipient] = [FragmentRecipient(KEY_ID, FRAGMENT), IDENTITY.recipient]


@dataclass(frozen=True)
class Vector:
    """One file, and what must come of it; what is not given is ``ok``.

    Attributes:
        derive: how the file is made of another one of ``gzip.age`` or ``release.cbc``, instead of content.
    """

    name: str
    content: bytes
    about: str
    verify: str = "ok"
    decrypt: str = "ok"
    unlock: str | None = None
    fragment: str = "fragment"
    images: Images | None = None
    beside: bytes = b""
    derive: dict[str, Any] | None = None


def main() -> int:
    """Write everything."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in secret_files().items():
        (folder / name).write_bytes(content)
    vectors = [*positive(), *broken_signatures(), *broken_tars(), *broken_files(), *cbc_archives()]
    for vector in vectors:
        if vector.derive is None:
            (folder / vector.name).write_bytes(vector.content)
        if vector.beside:
            (folder / f"{vector.name}.release.json").write_bytes(vector.beside)
    rows = [describe(vector) for vector in vectors]
    (folder / "vectors.json").write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def secret_files() -> dict[str, bytes]:
    """Return what opens the vectors and whom to trust."""
    raw = secret("identity")
    return {
        "fragment": FRAGMENT.reveal(),
        "fragment-added": ADDED.reveal(),
        "fragment-wrong": WRONG.reveal(),
        "identity.txt": encode_bech32("age-secret-key-", raw).upper().encode() + b"\n",
        "publisher.pem": PUBLISHER.public_key.serialise(),
    }


def positive() -> list[Vector]:
    """Make what must open."""
    signed = seal(two_images(), RECIPIENTS, sign, Compression.ZSTD)
    small = seal(one_image(), RECIPIENTS, sign, Compression.ZSTD)
    rekeyed = io.BytesIO()
    people = [FragmentRecipient(ADDED_KEY_ID, ADDED)]
    add_recipients(io.BytesIO(small), rekeyed, [FragmentIdentity(FRAGMENT)], people)
    two, one = two_images(), one_image()
    gzip = seal(one, RECIPIENTS, sign, Compression.GZIP)
    none = seal(one, RECIPIENTS, sign, Compression.NONE)
    unsigned = seal(one, RECIPIENTS, unsigned_envelope, Compression.ZSTD)
    return [
        Vector("signed.age", signed, "two images; zstd, one layer stored as it is", images=two),
        Vector("gzip.age", gzip, "one image, its layers compressed with gzip", images=one),
        Vector("none.age", none, "one image, its layers uncompressed", images=one),
        Vector(
            "rekeyed.age",
            rekeyed.getvalue(),
            "a fragment was added by rekey, the payload is the same",
            fragment="fragment-added",
            images=one,
        ),
        Vector("unsigned.age", unsigned, "nobody signed the statement", "signature-missing", images=one),
    ]


def broken_signatures() -> list[Vector]:
    """Make what says something else than a trusted publisher signed."""

    def break_signature(statement: bytes) -> bytes:
        document = json.loads(sign(statement))
        text = document["signatures"][0]["sig"]
        document["signatures"][0]["sig"] = ("B" if text[0] == "A" else "A") + text[1:]
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    def lie(statement: bytes) -> bytes:
        parsed = ReleaseStatement.parse(statement)
        images = tuple(replace(image, platform="linux/arm64") for image in parsed.images)
        return sign(replace(parsed, images=images).serialise())

    ways: list[tuple[str, str, str, Sign]] = [
        ("bad-signature.age", "one bit of the signature is wrong", "signature-untrusted", break_signature),
        (
            "other-publisher.age",
            "signed by a key that is not trusted",
            "signature-untrusted",
            lambda statement: sign_statement(statement, STRANGER),
        ),
        ("other-platform.age", "another platform is stated than the config has", "archive-format", lie),
    ]
    return [
        Vector(name, seal(one_image(), RECIPIENTS, signer, Compression.ZSTD), about, error)
        for name, about, error, signer in ways
    ]


def broken_tars() -> list[Vector]:
    """Make what one who knows the fragment can make of a signed release."""
    plain = open_plain(seal(one_image(), RECIPIENTS, sign, Compression.ZSTD), IDENTITY)
    double = open_plain(seal(one_image("ab"), RECIPIENTS, sign, Compression.NONE), IDENTITY)
    layers = [(at, size) for _name, at, size in members(double)][-2:]
    at = {name: offset for name, offset, _size in members(plain)}
    extra = serialise_header("extra", 5) + b"extra".ljust(512, b"\0")
    end = len(plain) - len(END)
    ways: list[tuple[str, str, str, bytes]] = [
        ("swapped-layers.age", "two layers in each other's place", "archive-damaged", swap(double, *layers)),
        ("extra-member.age", "one member more before the end", "archive-format", plain[:end] + extra + END),
        ("after-the-end.age", "a record of zeros behind the tar's end", "archive-format", plain + bytes(512)),
        (
            "other-manifest.age",
            "manifest.json names the image otherwise",
            "archive-format",
            patch(plain, at["manifest.json"], lambda text: text.replace(b"vector/small", b"vector/smell")),
        ),
    ]
    vectors = [Vector(name, seal_plain(tar, RECIPIENTS), about, error) for name, about, error, tar in ways]
    mode = seal_plain(change_mode(plain, list(members(plain))[-1][1] - 512), RECIPIENTS)
    about = "the header of a layer has another mode"  # seen when the layer is read: unlock says no more of it
    return [*vectors, Vector("other-mode.age", mode, about, "archive-format", unlock="archive-damaged")]


def broken_files() -> list[Vector]:
    """Say what anybody on the way can make of an archive; none of it needs a file of its own."""
    ways: list[tuple[str, str, dict[str, Any]]] = [
        ("truncated.age", "the last 100 bytes are missing", {"cut": 100}),
        ("trailing-byte.age", "one byte behind the final chunk", {"append": "00"}),
        ("flipped-bit.age", "one bit of the payload is wrong", {"flip_bit_of_byte": -1000}),
    ]
    damaged = "archive-damaged"
    vectors = [
        Vector(name, b"", about, damaged, damaged, derive={"file": "gzip.age"} | rule)
        for name, about, rule in ways
    ]
    about = "another fragment of the same key-id"
    rule = {"file": "gzip.age"}
    return [
        *vectors,
        Vector("wrong-fragment.age", b"", about, damaged, damaged, None, WRONG_FILE, derive=rule),
    ]


def cbc_archives() -> list[Vector]:
    """Make ``cbc`` archives with a signed statement beside them."""
    images = one_image()
    sink = io.BytesIO()
    writer = CbcWriter(sink, FRAGMENT)
    writer.write(images.tar())
    writer.finish()
    sealed = sink.getvalue()
    statement = ReleaseStatement(
        product="vectors",
        version=VERSION,
        sequence=7,
        created=CREATED,
        images=state_images(images.layout),
        blobs=state_blobs(images.layout, order_layers(images.layout)),
        archive=ArchiveDigest(Digest(hashlib.sha256(sealed).hexdigest()), len(sealed)),
    )
    beside = sign(statement.serialise())
    none = "archive-unauthenticated"
    flip = {"file": "release.cbc", "flip_bit_of_byte": 16 + 600}  # in the first layer
    return [
        Vector("release.cbc", sealed, "signed beside", none, unlock="ok", images=images, beside=beside),
        Vector("flipped-bit.cbc", b"", "one bit of a layer", none, "ok", "archive-damaged", derive=flip),
    ]


def sign(statement: bytes) -> bytes:
    """Sign as the publisher."""
    return sign_statement(statement, PUBLISHER)


def swap(tar: bytes, first: tuple[int, int], second: tuple[int, int]) -> bytes:
    """Put two contents of the same size in each other's place."""
    (a, size), (b, _same) = first, second
    return tar[:a] + tar[b : b + size] + tar[a + size : b] + tar[a : a + size] + tar[b + size :]


def patch(tar: bytes, at: int, change: Callable[[bytes], bytes]) -> bytes:
    """Change one record's text, its length kept."""
    return tar[:at] + change(tar[at : at + 512]) + tar[at + 512 :]


def change_mode(tar: bytes, at: int) -> bytes:
    """Make a member's mode 0600, with a right checksum."""
    header = (
        tar[at : at + 100] + b"0000600\0" + tar[at + 108 : at + 148] + b" " * 8 + tar[at + 156 : at + 512]
    )
    return tar[:at] + header[:148] + b"%06o\0 " % sum(header) + header[156:] + tar[at + 512 :]


def describe(vector: Vector) -> dict[str, Any]:
    """Return a vector's row."""
    row: dict[str, Any] = {
        "file": vector.name,
        "about": vector.about,
        "fragment": vector.fragment,
        "expect": {
            "decrypt": vector.decrypt,
            "verify": vector.verify,
            "unlock": vector.unlock or vector.verify,
        },
    }
    if vector.derive is not None:
        return row | {"derive": vector.derive}
    row["sha256"] = hashlib.sha256(vector.content).hexdigest()
    is_age = vector.name.endswith(".age")
    plain = open_plain(vector.content, IDENTITY) if is_age else one_image().tar()
    row["plaintext_sha256"] = hashlib.sha256(plain).hexdigest()
    if vector.images is not None:
        pairs = ((ref, image.config.digest) for image in vector.images.layout for ref in image.refs)
        row["images"] = {str(ref): str(digest) for ref, digest in pairs}
    return row


if __name__ == "__main__":
    sys.exit(main())
