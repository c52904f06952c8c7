"""Pushing an archive into a registry: its bytes, the empty config, and the manifest that names both."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives import hashes

from binary_split.archive.positioned import Positioned
from binary_split.config import LIMITS
from binary_split.model import Progress, ProgressSink
from binary_split.oci.blob import hash_bytes
from binary_split.transports.location import open_source
from binary_split.transports.part_list import is_first_part, whole_name
from binary_split.transports.registry.artifact import EMPTY_CONTENT, MANIFEST, serialise_manifest
from binary_split.transports.registry.client import Registry
from binary_split.transports.registry.refusals import refused
from binary_split.transports.registry.tries import patiently
from binary_split.transports.registry.upload_content import Content
from binary_split.transports.registry.upload_requests import TAKEN, has_blob
from binary_split.transports.registry.uploads import upload
from binary_split.transports.web.answers import verify_answered


def push_archive(archive: Path, registry: Registry, *, report: ProgressSink) -> str:
    """Push an archive under the registry's reference, and return the digest of its manifest.

    What the registry has already is not sent.

    Args:
        archive: its file, or the first of its parts.
        registry: where it goes.
        report: is told what was hashed, and what was sent.

    Raises:
        ArchiveUnreadableError: the archive cannot be read.
        ArchiveUnreachableError: the registry does not answer any more.
        RegistryError: it refuses.
    """
    host = registry.reference.host
    with open_source(archive) as opened:
        source = Positioned(opened)
        size = source.size()
        digest = _digest(source, size, report)
        _put_blob(registry, Content(source, digest, size, _Sent(size, report)))
    empty = Positioned(io.BytesIO(EMPTY_CONTENT))
    _put_blob(registry, Content(empty, str(hash_bytes(EMPTY_CONTENT)), len(EMPTY_CONTENT)))
    name = whole_name(archive) if is_first_part(archive.name) else archive.name
    manifest = serialise_manifest(digest, size, {"org.opencontainers.image.title": name})
    patiently(host, partial(_put_manifest, registry, manifest))
    return str(hash_bytes(manifest))


class _Sent:
    """Reports the bytes that were sent for the first time: what a break has cost is no progress."""

    def __init__(self, size: int, report: ProgressSink) -> None:
        self._size = size
        self._report = report
        self._furthest = 0

    def __call__(self, count: int) -> None:
        if count > self._furthest:
            self._furthest = count
            self._report(Progress("pushing", count, self._size))


def _digest(source: Positioned, size: int, report: ProgressSink) -> str:
    state, buffer = hashes.Hash(hashes.SHA256()), memoryview(bytearray(LIMITS.chunk_bytes))
    for offset in range(0, size, len(buffer)):
        chunk = buffer[: size - offset]
        source.read_at(offset, chunk)
        state.update(chunk)
        report(Progress("hashing", offset + len(chunk), size))
    return f"sha256:{state.finalize().hex()}"


def _put_blob(registry: Registry, content: Content) -> None:
    if not patiently(registry.reference.host, partial(has_blob, registry, content.digest)):
        upload(registry, content)


def _put_manifest(registry: Registry, manifest: bytes) -> None:
    url = f"{registry.address}/manifests/{registry.reference.name}"
    with registry.asked("PUT", url, {"Content-Type": MANIFEST}, manifest) as response:
        verify_answered(response)
        if response.status not in TAKEN:
            raise refused(response, registry.reference.host, "take the manifest")
