"""Small image tars made by the bed, taken apart and put together again with one thing changed."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bed.images import Style, build_release
from binary_split.oci.image_tar import ImageTar

NAMES = ("azaion/flights", "azaion/autopilot")
VERSION = "1.0.0"
STYLES: tuple[Style, ...] = ("oci", "classic")

Parts = dict[str, bytes | str]
"""Members in their order: a text is the target of a symbolic link."""


def make_release(folder: Path, style: Style) -> tuple[bytes, dict[str, str]]:
    """Return a release as a tar, and its references with their ids."""
    path = folder / f"{style}.tar"
    ids = build_release(path, VERSION, names=NAMES, filler_bytes=4000, style=style)
    return path.read_bytes(), ids


def unpack(tar: bytes) -> Parts:
    parts: Parts = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        for member in opened:
            file = opened.extractfile(member) if member.isfile() else None
            if file:
                parts[member.name] = file.read()
            elif member.issym():
                parts[member.name] = member.linkname
    return parts


def pack(parts: Parts) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def manifest_of(parts: Parts) -> list[dict[str, Any]]:
    content = parts["manifest.json"]
    assert isinstance(content, bytes)
    found: list[dict[str, Any]] = json.loads(content)
    return found


def with_manifest(parts: Parts, document: object) -> bytes:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return pack({**parts, "manifest.json": content})


def open_tar(tar: bytes) -> ImageTar:
    return ImageTar(io.BytesIO(tar))


def read(tar: ImageTar, name: str) -> bytes:
    return b"".join(map(bytes, tar.chunks(name)))


every_style = pytest.mark.parametrize("style", STYLES)
