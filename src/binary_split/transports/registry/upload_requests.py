"""The requests of which an upload consists, and what their answers mean.

OCI distribution-spec 1.1, "Pushing blobs". The last bytes go with the request that ends it, so a blob that is
sent whole is one of which they are all.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from binary_split.config import LIMITS
from binary_split.errors import RegistryError
from binary_split.transports.registry.client import Registry
from binary_split.transports.registry.refusals import refused
from binary_split.transports.registry.upload_content import Content, Stretch
from binary_split.transports.web.answers import REDIRECTS, verify_answered
from binary_split.transports.web.http_pool import PassingError, origin_of

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_LENGTH = re.compile(r"\d{1,18}")
TAKEN = {HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}
"""Answers to what was taken: to a chunk ECR says 201 and Pulp 204, where the specification says 202."""
_FINAL = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that the registry has begun.

    Attributes:
        url: where the next bytes go.
        done: how many have arrived.
        least: bytes of a chunk, but the last.
    """

    url: str
    done: int = 0
    least: int = 0


class RefusedError(Exception):
    """The registry does not take some bytes; it may take fewer at a time, or all at once.

    Attributes:
        status: of its answer.
        error: what it says, if nothing else is left.
    """

    def __init__(self, status: int, error: RegistryError) -> None:
        super().__init__(status)
        self.status = status
        self.error = error


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


def begin_upload(registry: Registry) -> Upload:
    """Begin an upload.

    Raises:
        PassingError: the registry does not answer now.
        RegistryError: it refuses.
    """
    with registry.asked("POST", f"{registry.address}/blobs/uploads/", {"Content-Length": "0"}) as response:
        verify_answered(response)
        if response.status != HTTPStatus.ACCEPTED:
            raise refused(response, registry.reference.host, "begin an upload")
        least = response.headers.get("OCI-Chunk-Min-Length", "")
        url = _location(registry, response, registry.address)
        return Upload(url, least=int(least) if _LENGTH.fullmatch(least) else 0)


def send_part(registry: Registry, content: Content, at: Upload, part: range) -> Upload:
    """Send a chunk; return where the next one goes, and how many bytes have arrived.

    Raises:
        PassingError: the registry does not answer now, or has forgotten the upload.
        RefusedError: it takes no such chunk.
        RegistryError: it takes nothing of us.
    """
    with registry.asked("PATCH", at.url, _headers(content, part), Stretch(content, part)) as response:
        _verify_taken(registry, response, at)
        return replace(at, url=_location(registry, response, at.url), done=_arrived(response, part))


def end_upload(registry: Registry, content: Content, at: Upload, part: range) -> None:
    """End an upload with its last bytes.

    Raises:
        PassingError: as for `send_part`; it may have the blob all the same.
        RefusedError: it does not take them.
        RegistryError: it takes nothing of us.
    """
    # it may go through all of it again before it answers
    more_s = content.size / LIMITS.push_end_bytes_per_s
    url = f"{at.url}{'&' if '?' in at.url else '?'}digest={content.digest}"
    sent = Stretch(content, part)
    with registry.asked("PUT", url, _headers(content, part), sent, more_s=more_s) as response:
        _verify_taken(registry, response, at)


def _headers(content: Content, part: range) -> dict[str, str]:
    """Return what is said of some bytes; of all no place, or some would take them for one large chunk."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(part))}
    if 0 < len(part) < content.size:
        headers["Content-Range"] = f"{part.start}-{part.stop - 1}"
    return headers


def _verify_taken(registry: Registry, response: BaseHTTPResponse, at: Upload) -> None:
    """Check that some bytes were taken.

    Raises:
        PassingError: the registry has no time, or has forgotten the upload.
        RefusedError: it does not take them so.
        RegistryError: it takes none.
    """
    verify_answered(response)
    status = response.status
    if status in TAKEN:
        return
    error = refused(response, registry.reference.host, "take the archive")
    if status == HTTPStatus.NOT_FOUND and (at.done or "BLOB_UPLOAD_UNKNOWN" in str(error)):
        raise PassingError("the registry has forgotten the upload")
    raise error if status in _FINAL else RefusedError(status, error)


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


def resume_upload(registry: Registry, content: Content, at: Upload) -> Upload:
    """Ask how far an upload is; begin anew where the registry knows nothing of it.

    Docker's own (2.8) forgets an upload of which a chunk came in part.

    Raises:
        PassingError: it does not answer now.
        RegistryError: it refuses.
    """
    with registry.asked("GET", at.url) as response:
        verify_answered(response)  # who has no time now has not forgotten it
        if response.status == HTTPStatus.NO_CONTENT:
            done = min(_said(response), content.size)
            return replace(at, url=_location(registry, response, at.url), done=done)
    return begin_upload(registry)


def _location(registry: Registry, response: BaseHTTPResponse, before: str) -> str:
    """Return where an upload goes on: on the same registry, whatever it says."""
    location = response.headers.get("Location", "")
    with suppress(ValueError):
        url = urljoin(before, location) if location else before
        if origin_of(url) == origin_of(registry.address):
            return url
    raise RegistryError(f"{registry.reference.host} sends the upload elsewhere")
