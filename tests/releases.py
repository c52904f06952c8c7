"""Releases as ``age`` archives for tests, and what a hostile sealer makes of them.

A hostile sealer knows the fragment, as every entitled device does, and so can write any plaintext.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bed.images import Style, build_release
from bed.layers import Filler
from binary_split.archive.age import FragmentIdentity, FragmentRecipient, open_age, seal_age
from binary_split.model import Fragment, ImageRef, Release
from binary_split.oci.compression import Compression
from binary_split.oci.publisher_key import PrivateKey
from binary_split.oci.signature import sign_statement, unsigned_envelope
from binary_split.oci.tar import serialise_header
from binary_split.sealing import AgeOrder, export_docker_archive
from binary_split.sealing import seal_age as seal_release
from binary_split.unlock.opening import Trust
from tests.archives import FRAGMENT, SealedRelease, parse_pins

KEY_ID = "release-1"
RECORD = 512
NAMES = ("azaion/flights", "azaion/autopilot")
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

Parts = list[tuple[str, bytes]]
"""Members of a release tar in their order."""


def fixed_key(letter: bytes) -> PrivateKey:
    return PrivateKey(Ed25519PrivateKey.from_private_bytes(letter * 32))


KEY, OTHER_KEY = fixed_key(b"k"), fixed_key(b"o")
TRUST = Trust((KEY.public_key,))
ANYONE = Trust(allow_unsigned=True)


class AgeRelease(SealedRelease):
    """One whose archive is an ``age`` archive."""

    @property
    def plain(self) -> bytes:
        return open_archive(self.path.read_bytes())


def make_age_release(
    folder: Path,
    version: str = "1.0.0",
    *,
    names: tuple[str, ...] = NAMES,
    filler_bytes: int = 40_000,
    filler_kind: Filler = "zeros",
    style: Style = "oci",
    seed: int = 0,
    key: PrivateKey | None = KEY,
    compression: Compression = Compression.ZSTD,
    sequence: int = 7,
    program: bytes | None = None,
) -> AgeRelease:
    """Build a release and seal it."""
    folder.mkdir(parents=True, exist_ok=True)
    tar = folder / f"{version}.tar"
    refs = build_release(
        tar,
        version,
        names=names,
        filler_bytes=filler_bytes,
        filler_kind=filler_kind,
        style=style,
        seed=seed,
        program=program,
    )
    pins = parse_pins(refs)
    order = make_order(pins, version, key=key, compression=compression, sequence=sequence)
    sink = io.BytesIO()
    seal_release(order, export_docker_archive(tar)[0], sink, spool_folder=folder)
    path = folder / f"{version}.age"
    path.write_bytes(sink.getvalue())
    return AgeRelease(tar, path, pins)


def make_order(
    images: Iterable[ImageRef],
    version: str = "1.0.0",
    *,
    key: PrivateKey | None = KEY,
    compression: Compression = Compression.ZSTD,
    sequence: int = 7,
) -> AgeOrder:
    """Order a release with nothing in it that differs from one run to the next."""
    return AgeOrder(
        Release(version, tuple(images)),
        "drone",
        sequence,
        CREATED,
        [FragmentRecipient(KEY_ID, Fragment(FRAGMENT))],
        signer(key),
        compression,
    )


def signer(key: PrivateKey | None) -> Callable[[bytes], bytes]:
    return unsigned_envelope if key is None else lambda statement: sign_statement(statement, key)


def open_archive(sealed: bytes) -> bytes:
    """Open an ``age`` archive whatever its plaintext is."""
    with open_age(io.BytesIO(sealed), [FragmentIdentity(Fragment(FRAGMENT))]) as plaintext:
        return b"".join(map(bytes, plaintext.pieces()))


def seal_plain(plain: bytes, fragment: bytes = FRAGMENT) -> bytes:
    """Seal any plaintext, as one can who knows the fragment."""
    sink = io.BytesIO()
    writer = seal_age(sink, [FragmentRecipient(KEY_ID, Fragment(fragment))])
    writer.write(plain)
    writer.finish()
    return sink.getvalue()


def unpack(plain: bytes) -> Parts:
    """Take a release tar apart, by Python's own reader."""
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as opened:
        return [(member.name, _content(opened, member)) for member in opened]


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = opened.extractfile(member)
    assert file is not None
    return file.read()


def pack(parts: Parts) -> bytes:
    """Put a release tar together, with canonical headers."""
    members = (serialise_header(name, len(content)) + padded(content) for name, content in parts)
    return b"".join(members) + bytes(2 * RECORD)


def padded(content: bytes) -> bytes:
    return content.ljust(-(-len(content) // RECORD) * RECORD, b"\0")


def blob_name(content: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"


def read_statement(parts: Parts) -> dict[str, Any]:
    """Read what a release states, without a look at who signed it."""
    envelope = json.loads(dict(parts)["release.json"])
    statement: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return statement


def with_statement(parts: Parts, statement: dict[str, Any], key: PrivateKey | None) -> Parts:
    """Put another statement into a release, in the form in which statements are written."""
    content = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return replaced(parts, "release.json", signer(key)(content))


def replaced(parts: Parts, name: str, content: bytes) -> Parts:
    assert name in dict(parts)
    return [(each, content if each == name else old) for each, old in parts]


def layer_names(parts: Parts) -> list[str]:
    """Return the members that the statement calls layers."""
    blobs = read_statement(parts)["predicate"]["blobs"]
    return [f"blobs/sha256/{row['digest'].removeprefix('sha256:')}" for row in blobs if "diff_id" in row]


def member_offsets(plain: bytes) -> Iterator[tuple[str, int, int]]:
    """Give each member's name, where its content begins, and its size."""
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as opened:
        for member in opened:
            yield member.name, member.offset_data, member.size
