"""The images that an image tar holds: its ``manifest.json`` and the configs, parsed strictly.

Formats: the Docker image tar (moby ``image/spec/spec.md``: manifest.json) and the OCI image configuration
(image-spec ``config.md``).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from binary_split.config import LIMITS
from binary_split.errors import ArchiveFormatError, ImageReferenceError
from binary_split.model import Digest, ImageRef
from binary_split.oci.blob import hash_bytes
from binary_split.oci.tar import Kind, TarMember

MANIFEST = "manifest.json"
_PLATFORM_PART = re.compile(r"[A-Za-z0-9._-]{1,64}")  # Go's GOOS and GOARCH; it is shown on terminals

_Json = TypeVar("_Json", dict[str, Any], list[Any])


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """An image's configuration: its bytes are its identity.

    Attributes:
        content: the JSON document, byte-exact.
        digest: of ``content``: the image id.
        diff_ids: of its layers, uncompressed, lowest first.
        platform: ``os/architecture``, and ``/variant`` where it has one.
    """

    content: bytes
    digest: Digest
    diff_ids: tuple[Digest, ...]
    platform: str

    @classmethod
    def parse(cls, content: bytes) -> ImageConfig:
        """Parse a config.

        Raises:
            ArchiveFormatError: it is none.
        """
        document = parse_json(content, what="an image config", kind=dict)
        try:
            diff_ids = tuple(Digest.parse(text) for text in document["rootfs"]["diff_ids"])
            platform = _parse_platform(document)
        except (KeyError, TypeError, ImageReferenceError) as error:
            raise ArchiveFormatError("an image config lacks its layers or its platform") from error
        return cls(content, hash_bytes(content), diff_ids, platform)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in a tar: its references, its config, and the members that hold its layers, lowest first."""

    refs: tuple[ImageRef, ...]
    config: ImageConfig
    layers: tuple[str, ...]


def parse_images(
    manifest: bytes, members: Mapping[str, TarMember], read_member: Callable[[str], bytes]
) -> tuple[StoredImage, ...]:
    """Parse ``manifest.json`` and the configs that it names.

    Args:
        manifest: the content of ``manifest.json``.
        members: all members by name; links among them are followed.
        read_member: gives the content of a small file.

    Raises:
        ArchiveFormatError: a document is malformed, a member is missing, a reference stands twice, or the
            configs are more than are held in memory.
    """
    images: list[StoredImage] = []
    room = LIMITS.documents_bytes
    for entry in parse_json(manifest, what=MANIFEST, kind=list):
        images.append(_parse_entry(entry, members, read_member))
        room -= len(images[-1].config.content)  # a few bytes name one config again and again
        if room < 0:
            raise ArchiveFormatError("the tar holds too many documents for an image archive")
    refs = [ref for image in images for ref in image.refs]
    if len(set(refs)) != len(refs):
        raise ArchiveFormatError(f"{MANIFEST} names a reference twice")
    return tuple(images)


def resolve_member(name: str, members: Mapping[str, TarMember]) -> str:
    """Return the file that a name stands for: old `docker save` tars alias shared layers by links.

    Raises:
        ArchiveFormatError: there is no such file in the tar.
    """
    for _hop in range(8):
        member = members.get(name)
        if member is None:
            break
        if member.kind is Kind.FILE:
            return name
        base = posixpath.dirname(name) if member.kind is Kind.SYMBOLIC_LINK else ""
        name = posixpath.normpath(posixpath.join(base, member.target))
    raise ArchiveFormatError(f"the tar lacks {name!r}")


def index_images(images: Iterable[StoredImage]) -> dict[ImageRef, StoredImage]:
    """Return the images by reference."""
    return {ref: image for image in images for ref in image.refs}


def parse_json(content: bytes, *, what: str, kind: type[_Json]) -> _Json:
    """Parse a JSON document of the expected kind.

    Raises:
        ArchiveFormatError: it is malformed or of another kind.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArchiveFormatError(f"{what} is not valid JSON") from error
    if not isinstance(document, kind):
        raise ArchiveFormatError(f"{what} is not what it should be")
    return document


def _parse_entry(
    entry: object, members: Mapping[str, TarMember], read_member: Callable[[str], bytes]
) -> StoredImage:
    try:
        config_name, ref_texts, layer_names = entry["Config"], entry["RepoTags"], entry["Layers"]  # type: ignore[index]
        refs = tuple(ImageRef.parse(text) for text in _list(ref_texts))
        layers = tuple(resolve_member(_normalise(name), members) for name in _list(layer_names))
        config_name = resolve_member(_normalise(config_name), members)
    except (KeyError, TypeError, AttributeError, ImageReferenceError) as error:
        raise ArchiveFormatError(f"{MANIFEST} is not what `docker save` writes") from error
    if members[config_name].size > LIMITS.image_config_bytes:
        raise ArchiveFormatError(f"the image config {config_name} is too large")
    config = ImageConfig.parse(read_member(config_name))
    if len(config.diff_ids) != len(layers):
        raise ArchiveFormatError(f"the image {config.digest} has layers that its config does not have")
    return StoredImage(refs, config, layers)


def _parse_platform(document: dict[str, Any]) -> str:
    parts = [document["os"], document["architecture"], *filter(None, [document.get("variant")])]
    if not all(_PLATFORM_PART.fullmatch(part) for part in parts):
        raise ArchiveFormatError("an image config names a platform that is none")
    return "/".join(parts)


def _list(value: object) -> list[Any]:
    """Return a list; Go writes an empty one as null."""
    if value is not None and not isinstance(value, list):
        raise TypeError("no list")
    return value or []


def _normalise(name: str) -> str:
    return posixpath.normpath(name)
