"""Pushing an archive into a registry: in chunks, and on from where a line broke if the registry lets us."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin

from cryptography.hazmat.primitives import hashes

from binary_split.config import LIMITS
from binary_split.errors import ArchiveUnreachableError, RegistryError
from binary_split.model import Progress, ProgressSink
from binary_split.oci.blob import hash_bytes
from binary_split.transports.answers import verify_answered
from binary_split.transports.file import FileSource
from binary_split.transports.http_pool import PassingError
from binary_split.transports.patience import pause_s
from binary_split.transports.registry import EMPTY_CONTENT, MANIFEST, Registry, serialise_manifest

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_T = TypeVar("_T")
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")


def push_archive(archive: Path, registry: Registry, *, report: ProgressSink) -> str:
    """Push an archive under the registry's reference, and return the digest of its manifest.

    What the registry has already is not sent.

    Raises:
        ArchiveUnreadableError: the archive cannot be read.
        ArchiveUnreachableError: the registry does not answer any more.
        RegistryError: it refuses.
    """
    with FileSource(archive) as source:
        size = source.seek(0, 2)
        source.seek(0)
        digest = _digest(source, size, report)
        if not _patiently(registry, partial(_has_blob, registry, digest)):
            url = _upload(registry, source, size, report)
            _put_blob(registry, lambda: url, digest, b"")
    empty = str(hash_bytes(EMPTY_CONTENT))
    if not _patiently(registry, partial(_has_blob, registry, empty)):
        _put_blob(registry, partial(_begin, registry), empty, EMPTY_CONTENT)
    title = {"org.opencontainers.image.title": archive.name}
    manifest = serialise_manifest(digest, size, title)
    _patiently(registry, partial(_put_manifest, registry, manifest))
    return str(hash_bytes(manifest))


def _patiently(registry: Registry, call: Callable[[], _T]) -> _T:
    """Make a call that may be made twice, again where the registry does not answer.

    Tries are counted, and not the time without a byte as for who reads: a chunk may take longer than that
    on its way up, and nobody sees how far it is.

    Raises:
        ArchiveUnreachableError: it does not answer any more.
    """
    failures = 0
    while True:
        try:
            return call()
        except PassingError as error:
            failures += 1
            _pause(registry, failures, error)


def _pause(registry: Registry, failures: int, error: PassingError) -> None:
    """Wait before another try.

    Raises:
        ArchiveUnreachableError: there were enough.
    """
    if failures >= LIMITS.push_attempts:
        raise ArchiveUnreachableError(
            f"cannot reach {registry.reference.host}: {error}",
            hint="Check the address and the network, and push again.",
        ) from error
    time.sleep(pause_s(failures, error))


def _digest(source: FileSource, size: int, report: ProgressSink) -> str:
    state, done = hashes.Hash(hashes.SHA256()), 0
    while chunk := source.read(LIMITS.chunk_bytes):
        state.update(chunk)
        done += len(chunk)
        report(Progress("hashing", done, size))
    return f"sha256:{state.finalize().hex()}"


def _has_blob(registry: Registry, digest: str) -> bool:
    with registry.asked("HEAD", f"{registry.address}/blobs/{digest}") as response:
        _verify(registry, response, {200, 307, 404}, "say what it has")
        return response.status != 404


def _begin(registry: Registry) -> str:
    """Begin an upload, and return where it goes."""
    with registry.asked("POST", f"{registry.address}/blobs/uploads/", {"Content-Length": "0"}) as response:
        _verify(registry, response, {202}, "begin an upload")
        return _location(registry, response.headers.get("Location", ""), registry.address)


def _upload(registry: Registry, source: FileSource, size: int, report: ProgressSink) -> str:
    """Send a blob in chunks, and return where it went; after a break the registry says what has arrived."""
    url, done = _patiently(registry, partial(_begin, registry)), 0
    furthest = failures = 0
    while done < size:
        try:
            url, done = _send(registry, source, url, range(done, min(done + LIMITS.push_chunk_bytes, size)))
        except PassingError as error:
            failures += 1
            _pause(registry, failures, error)
            url, done = _patiently(registry, partial(_resume, registry, url))
        if done > furthest:
            furthest, failures = done, 0
            report(Progress("pushing", done, size))
    return url


def _send(registry: Registry, source: FileSource, url: str, places: range) -> tuple[str, int]:
    """Send some bytes of the archive; return where the next go, and how many have arrived."""
    chunk = bytearray(len(places))
    if source.read_at(places.start, memoryview(chunk)) < len(chunk):
        raise RegistryError("the archive became shorter while it was pushed", hint="Push it again.")
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Range": f"{places.start}-{places.stop - 1}",
        "Content-Length": str(len(chunk)),
    }
    with registry.asked("PATCH", url, headers, bytes(chunk)) as response:
        _verify(registry, response, {202}, "take a part of the archive")
        return _location(registry, response.headers.get("Location", ""), url), places.stop


def _resume(registry: Registry, url: str) -> tuple[str, int]:
    """Ask how far an upload is; begin anew where the registry knows nothing of it.

    Docker's own (2.8) forgets an upload of which a chunk came in part.
    """
    with registry.asked("GET", url) as response:
        verify_answered(response)  # who has no time now has not forgotten it
        if response.status == 204:
            arrived = _RANGE.fullmatch(response.headers.get("Range", ""))
            # of an upload that is still empty some say 0-0
            done = int(arrived[1]) + 1 if arrived and int(arrived[1]) else 0
            return _location(registry, response.headers.get("Location", ""), url), done
    return _begin(registry), 0


def _put_manifest(registry: Registry, manifest: bytes) -> None:
    url = f"{registry.address}/manifests/{registry.reference.name}"
    with registry.asked("PUT", url, {"Content-Type": MANIFEST}, manifest) as response:
        _verify(registry, response, {201}, "take the manifest")


def _put_blob(registry: Registry, place: Callable[[], str], digest: str, content: bytes) -> None:
    """End an upload with its last bytes; after a break the registry may have the blob already."""
    is_again = False

    def put() -> None:
        nonlocal is_again
        if is_again and _has_blob(registry, digest):
            return
        is_again = True
        url = place()
        mark = "&" if "?" in url else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(content))}
        with registry.asked("PUT", f"{url}{mark}digest={digest}", headers, content) as response:
            _verify(registry, response, {201}, "take the archive")

    _patiently(registry, put)


def _location(registry: Registry, location: str, before: str) -> str:
    """Return where an upload goes on: on the same registry, whatever it says."""
    url = urljoin(before, location) if location else before
    if not url.startswith(registry.address.partition("/v2/")[0] + "/"):
        raise RegistryError(f"{registry.reference.host} sends the upload elsewhere")
    return url


def _verify(registry: Registry, response: BaseHTTPResponse, expected: set[int], what: str) -> None:
    verify_answered(response)
    if response.status not in expected:
        raise RegistryError(f"{registry.reference.host} does not {what}: it answers {response.status}")
