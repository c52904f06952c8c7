"""Archives for tests, made without the product's own code, and what an attacker makes of them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from bed.images import Style, build_release
from binary_split.engines import EngineImage
from binary_split.model import Digest, Fragment, ImageRef

FRAGMENT = b"\x00fragment of the tests\xff\r\n"
BLOCK = 16


@dataclass(frozen=True)
class SealedRelease:
    """A release as a plain ``docker save`` tar and as an archive, and the ids of its images."""

    tar: Path
    path: Path
    pins: Mapping[ImageRef, Digest]

    @property
    def images(self) -> tuple[ImageRef, ...]:
        return tuple(self.pins)


class Sealed(SealedRelease):
    """One whose archive is a ``cbc`` archive."""


def make_sealed(
    folder: Path,
    version: str,
    names: tuple[str, ...],
    *,
    filler_bytes: int = 100_000,
    style: Style = "oci",
    seed: int = 0,
    program: bytes | None = None,
) -> Sealed:
    """Build a release and seal it."""
    folder.mkdir(parents=True, exist_ok=True)
    tar = folder / f"{version}.tar"
    refs = build_release(
        tar, version, names=names, filler_bytes=filler_bytes, style=style, seed=seed, program=program
    )
    path = folder / f"{version}.cbc"
    path.write_bytes(encrypt(tar.read_bytes(), iv=bytes(range(BLOCK))))  # the same bytes in each run
    return Sealed(tar, path, parse_pins(refs))


def parse_pins(refs: Mapping[str, str]) -> dict[ImageRef, Digest]:
    return {ImageRef.parse(ref): Digest.parse(found) for ref, found in refs.items()}


def encrypt(plain: bytes, fragment: bytes = FRAGMENT, iv: bytes | None = None) -> bytes:
    """Seal as the format says, whatever the bytes are."""
    iv = iv or os.urandom(BLOCK)
    padder = PKCS7(8 * BLOCK).padder()
    encryptor = Cipher(algorithms.AES256(hashlib.sha256(fragment).digest()), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


def decrypt(sealed: bytes, fragment: bytes = FRAGMENT) -> bytes:
    """Open as the format says, padding and all."""
    key = hashlib.sha256(fragment).digest()
    return Cipher(algorithms.AES256(key), modes.CBC(sealed[:BLOCK])).decryptor().update(sealed[BLOCK:])


def flip_bit(sealed: bytes, position: int, bit: int = 0) -> bytes:
    """Flip one bit of the byte at ``position``."""
    changed = bytearray(sealed)
    changed[position] ^= 1 << bit
    return bytes(changed)


def has_possible_padding(sealed: bytes, fragment: bytes) -> bool:
    last = decrypt(sealed[-2 * BLOCK :], fragment)
    return 1 <= last[-1] <= BLOCK and last[-last[-1] :] == last[-1:] * last[-1]


def find_lucky_fragment(sealed: bytes) -> bytes:
    """Find a wrong fragment whose padding is possible by chance, as 1 in about 250 is."""
    candidates = (b"wrong %d" % number for number in range(100_000))
    return next(fragment for fragment in candidates if has_possible_padding(sealed, fragment))


def read_images(tar: Path) -> dict[ImageRef, EngineImage]:
    """Read from an image tar what an engine must say of each image: its id and its diff ids."""
    found = {}
    for entry, config in _configs(tar):
        diff_ids = tuple(Digest.parse(text) for text in json.loads(config)["rootfs"]["diff_ids"])
        image = EngineImage(Digest(hashlib.sha256(config).hexdigest()), diff_ids)
        found.update({ImageRef.parse(ref): image for ref in entry["RepoTags"]})
    return found


def read_images_by_manifest(tar: Path) -> dict[ImageRef, EngineImage]:
    """The same of an engine that names images by their manifest."""
    by_config = read_images(tar)
    found = {}
    with tarfile.open(tar) as opened:
        for row in json.loads(read_member(opened, "index.json"))["manifests"]:
            ref = ImageRef.parse(row["annotations"]["io.containerd.image.name"])
            found[ref] = EngineImage(Digest.parse(row["digest"]), by_config[ref].diff_ids)
    return found


def read_layout(tar: Path) -> dict[str, tarfile.TarInfo]:
    """Read every member's header by its name."""
    with tarfile.open(tar) as opened:
        return {member.name: member for member in opened}


def read_manifest(tar: Path) -> list[dict[str, Any]]:
    with tarfile.open(tar) as opened:
        rows: list[dict[str, Any]] = json.loads(read_member(opened, "manifest.json"))
    return rows


def read_member(opened: tarfile.TarFile, name: str) -> bytes:
    file = opened.extractfile(name)
    assert file is not None
    return file.read()


def _configs(tar: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    with tarfile.open(tar) as opened:
        for entry in json.loads(read_member(opened, "manifest.json")):
            yield entry, read_member(opened, entry["Config"])


def rewrite_tar(tar: Path, out: Path, change: Callable[[str, bytes], bytes | None], **more: bytes) -> Path:
    """Copy a tar with changed files; None leaves a file out. ``more`` are added, at the front."""
    with tarfile.open(tar) as source, tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as target:
        for name, content in more.items():
            _add(target, tarfile.TarInfo(name.replace("__", "/")), content)
        for member in source:
            content_or_none = (
                change(member.name, read_member(source, member.name)) if member.isfile() else b""
            )
            if content_or_none is not None:
                _add(target, member, content_or_none)
    return out


def _add(target: tarfile.TarFile, member: tarfile.TarInfo, content: bytes) -> None:
    member.pax_headers = {}
    if member.isfile():
        member.size = len(content)
        target.addfile(member, io.BytesIO(content))
    else:
        target.addfile(member)


def forge_config(tar: Path, out: Path, ref: str, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Change an image's config as one who knows the fragment can: all that names it is made to agree."""
    entry, config = next(pair for pair in _configs(tar) if ref in pair[0]["RepoTags"])
    document = json.loads(config)
    edit(document)
    content = json.dumps(document, separators=(",", ":")).encode()
    name = f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"

    def change(member: str, old: bytes) -> bytes:
        return old.replace(entry["Config"].encode(), name.encode()) if member == "manifest.json" else old

    return rewrite_tar(tar, out, change, **{name.replace("/", "__"): content})


def retag(tar: Path, out: Path, ref: str, *, more: str) -> Path:
    """Give an image of a tar one more reference."""

    def change(name: str, content: bytes) -> bytes:
        if name != "manifest.json":
            return content
        rows = json.loads(content)
        for row in rows:
            if ref in row["RepoTags"]:
                row["RepoTags"].append(more)
        return json.dumps(rows).encode()

    return rewrite_tar(tar, out, change)


class Fragments:
    """A source of fragments that counts how often it was asked."""

    def __init__(self, fragment: bytes = FRAGMENT) -> None:
        self._fragment = fragment
        self.asked = 0

    def authenticate(self) -> None:
        self.asked += 1

    def fetch(self) -> Fragment:
        self.asked += 1
        return Fragment(self._fragment)


class NoFragments:
    """A source that must not be asked."""

    def authenticate(self) -> None:
        raise AssertionError("a token was read")

    def fetch(self) -> Fragment:
        raise AssertionError("a fragment was asked for")
