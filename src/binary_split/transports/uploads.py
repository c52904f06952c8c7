"""A blob on its way into a registry: in chunks, and on from where a line broke, or whole where it must be.

OCI distribution-spec 1.1, "Pushing blobs". The last bytes go with the request that ends the upload, so a blob
that is sent whole is one of which the last bytes are all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from binary_split.config import LIMITS
from binary_split.errors import RegistryError
from binary_split.transports.answers import REDIRECTS, verify_answered
from binary_split.transports.http_pool import PassingError, origin_of
from binary_split.transports.refusals import refused
from binary_split.transports.registry import Registry
from binary_split.transports.tries import Tries, patiently

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from binary_split.archive.positioned import Positioned

_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_LENGTH = re.compile(r"\d{1,18}")
TAKEN = {HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}
"""Answers to what was taken: to a chunk ECR says 201 and Pulp 204, where the specification says 202."""
_SMALLER = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
_FINAL = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_PIECE_BYTES = 64 * 1024  # must be taken within one time-out


@dataclass(frozen=True, slots=True)
class Content:
    """What becomes a blob.

    Attributes:
        source: of its bytes.
        digest: of all of them.
        size: in bytes.
        report: is told how many of them were sent.
    """

    source: Positioned
    digest: str
    size: int
    report: Callable[[int], None] = field(default=lambda _count: None, repr=False)


class _Stretch:
    """Bytes of a blob as the body of a request, which may be sent twice; few of them are held at a time."""

    def __init__(self, content: Content, places: range) -> None:
        self._content = content
        self._places = places

    def __iter__(self) -> Iterator[bytes]:
        stop = self._places.stop
        for offset in range(self._places.start, stop, _PIECE_BYTES):
            piece = bytearray(min(_PIECE_BYTES, stop - offset))
            self._content.source.read_at(offset, memoryview(piece))
            yield bytes(piece)
            self._content.report(offset + len(piece))


@dataclass(frozen=True, slots=True)
class _Upload:
    """An upload that the registry has begun.

    Attributes:
        url: where the next bytes go.
        done: how many have arrived.
        least: bytes of a chunk, but the last.
    """

    url: str
    done: int = 0
    least: int = 0


class _RefusedError(Exception):
    """The registry does not take a part of a blob; it may take a smaller one, or the whole."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def has_blob(registry: Registry, digest: str) -> bool:
    """Whether the registry has a blob, itself or where it redirects to.

    Raises:
        PassingError: it does not answer now.
        RegistryError: it refuses to say.
    """
    with registry.asked("HEAD", f"{registry.address}/blobs/{digest}") as response:
        verify_answered(response)
        if response.status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND, *REDIRECTS}:
            raise refused(response, registry.reference.host, "say what it has")
        return response.status != HTTPStatus.NOT_FOUND


def upload(registry: Registry, content: Content) -> None:
    """Send a blob; after a break the registry says what has arrived.

    Raises:
        ArchiveUnreadableError: the archive cannot be read.
        ArchiveUnreachableError: the registry does not answer any more.
        RegistryError: it refuses.
    """
    host = registry.reference.host
    begin = partial(patiently, host, partial(_begin, registry))
    tries, step, furthest = Tries(host), LIMITS.push_chunk_bytes, 0
    at = begin()
    while True:
        rest = range(at.done, content.size)
        part = rest[: max(step, at.least)]
        is_last = part.stop == content.size
        try:
            if is_last:
                _end(registry, content, at, part)
                return
            at = _send(registry, content, at, part)
        except _RefusedError as refusal:
            asked = _look_again(registry, content, at, refusal)
            if asked is None:
                step = _next_step(step, at, refusal) or content.size
            else:
                tries.wait(PassingError(f"the server answers {refusal.status}"))
            at = asked or begin()
        except PassingError as error:
            tries.wait(error)
            if is_last and patiently(host, partial(has_blob, registry, content.digest)):
                return
            is_whole = len(part) == content.size
            at = begin() if is_whole else patiently(host, partial(_resume, registry, content, at))
        if at.done > furthest:
            furthest = at.done
            tries.begin_anew()


def _next_step(step: int, at: _Upload, refusal: _RefusedError) -> int | None:
    """Return how large chunks are from now on; None: the registry takes none of any size."""
    small = max(LIMITS.push_small_chunk_bytes, at.least)
    return small if refusal.status in _SMALLER and not at.done and small < step else None


def _look_again(registry: Registry, content: Content, at: _Upload, refusal: _RefusedError) -> _Upload | None:
    """Ask how far an upload is to which our bytes do not belong; None: nowhere else than we thought."""
    if refusal.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not at.done:
        return None
    asked = patiently(registry.reference.host, partial(_resume, registry, content, at))
    return asked if asked.done not in {0, at.done} else None


def _begin(registry: Registry) -> _Upload:
    """Begin an upload."""
    with registry.asked("POST", f"{registry.address}/blobs/uploads/", {"Content-Length": "0"}) as response:
        verify_answered(response)
        if response.status != HTTPStatus.ACCEPTED:
            raise refused(response, registry.reference.host, "begin an upload")
        least = response.headers.get("OCI-Chunk-Min-Length", "")
        url = _location(registry, response, registry.address)
        return _Upload(url, least=int(least) if _LENGTH.fullmatch(least) else 0)


def _send(registry: Registry, content: Content, at: _Upload, part: range) -> _Upload:
    """Send a chunk; return where the next one goes, and how many bytes have arrived."""
    with registry.asked("PATCH", at.url, _headers(content, part), _Stretch(content, part)) as response:
        _verify_taken(registry, response, at, is_part=True)
        return replace(at, url=_location(registry, response, at.url), done=_arrived(response, part))


def _end(registry: Registry, content: Content, at: _Upload, part: range) -> None:
    """End an upload with its last bytes."""
    url = f"{at.url}{'&' if '?' in at.url else '?'}digest={content.digest}"
    with registry.asked("PUT", url, _headers(content, part), _Stretch(content, part)) as response:
        _verify_taken(registry, response, at, is_part=len(part) < content.size)


def _headers(content: Content, part: range) -> dict[str, str]:
    """Return what is said of some bytes; of all no place, or some would take them for one large chunk."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(part))}
    if 0 < len(part) < content.size:
        headers["Content-Range"] = f"{part.start}-{part.stop - 1}"
    return headers


def _verify_taken(registry: Registry, response: BaseHTTPResponse, at: _Upload, *, is_part: bool) -> None:
    """Check that some bytes were taken.

    Raises:
        PassingError: the registry has no time, or has forgotten the upload.
        _RefusedError: it does not take them so.
        RegistryError: it takes none.
    """
    verify_answered(response)
    status = response.status
    if status in TAKEN:
        return
    error = refused(response, registry.reference.host, "take the archive")
    if status == HTTPStatus.NOT_FOUND and (at.done or "BLOB_UPLOAD_UNKNOWN" in str(error)):
        raise PassingError("the registry has forgotten the upload")
    if is_part and status not in _FINAL:
        raise _RefusedError(status)
    raise error


def _arrived(response: BaseHTTPResponse, part: range) -> int:
    """Return how many bytes have arrived with a chunk: as the registry says, where that can be.

    ECR says the same of every chunk, so one that does not move is not believed.
    """
    done = _said(response)
    return done if part.start < done <= part.stop else part.stop


def _said(response: BaseHTTPResponse) -> int:
    """Return how many bytes have arrived, as an answer says; 0: none, or it does not say."""
    said = _RANGE.fullmatch(response.headers.get("Range", ""))
    return int(said[1]) + 1 if said and int(said[1]) else 0  # of an upload that is empty some say 0-0


def _resume(registry: Registry, content: Content, at: _Upload) -> _Upload:
    """Ask how far an upload is; begin anew where the registry knows nothing of it.

    Docker's own (2.8) forgets an upload of which a chunk came in part.
    """
    with registry.asked("GET", at.url) as response:
        verify_answered(response)  # who has no time now has not forgotten it
        if response.status == HTTPStatus.NO_CONTENT:
            done = min(_said(response), content.size)
            return replace(at, url=_location(registry, response, at.url), done=done)
    return _begin(registry)


def _location(registry: Registry, response: BaseHTTPResponse, before: str) -> str:
    """Return where an upload goes on: on the same registry, whatever it says."""
    location = response.headers.get("Location", "")
    with suppress(ValueError):
        url = urljoin(before, location) if location else before
        if origin_of(url) == origin_of(registry.address):
            return url
    raise RegistryError(f"{registry.reference.host} sends the upload elsewhere")
