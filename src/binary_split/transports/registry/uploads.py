"""A blob on its way into a registry: in chunks, and on from where a line broke, or whole where it must be."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus

from binary_split.config import LIMITS
from binary_split.transports.registry.client import Registry
from binary_split.transports.registry.tries import Tries, patiently
from binary_split.transports.registry.upload_content import Content
from binary_split.transports.registry.upload_requests import (
    RefusedError,
    Upload,
    begin_upload,
    end_upload,
    has_blob,
    resume_upload,
    send_part,
)
from binary_split.transports.web.http_pool import PassingError

_TOO_LARGE = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}


def upload(registry: Registry, content: Content) -> None:
    """Send a blob; after a break the registry says what has arrived.

    Raises:
        ArchiveUnreadableError: the archive cannot be read.
        ArchiveUnreachableError: the registry does not answer any more.
        RegistryError: it refuses.
    """
    host = registry.reference.host
    begin = partial(patiently, host, partial(begin_upload, registry))
    tries, steps, furthest = Tries(host), _Steps(content.size), 0
    at = begin()
    while True:
        part = range(at.done, content.size)[: max(steps.most, at.least)]
        is_last = part.stop == content.size
        try:
            if is_last:
                end_upload(registry, content, at, part)
                return
            at = send_part(registry, content, at, part)
        except RefusedError as refusal:
            asked = _look_again(registry, content, at, refusal)
            if asked is None:
                steps.change(at, part, refusal)
            else:
                tries.wait(PassingError(f"the server answers {refusal.status}"))
            at = asked or begin()
        except PassingError as error:
            tries.wait(error)
            if is_last and patiently(host, partial(has_blob, registry, content.digest)):
                return
            is_whole = len(part) == content.size
            at = begin() if is_whole else patiently(host, partial(resume_upload, registry, content, at))
        if at.done > furthest:
            furthest = at.done
            tries.begin_anew()


class _Steps:
    """How many bytes go at a time: many, then few where those are too large, then all at once.

    Args:
        size: of the blob.

    Attributes:
        most: bytes of a chunk now.
    """

    def __init__(self, size: int) -> None:
        self.most = LIMITS.push_chunk_bytes
        self._fewest = LIMITS.push_small_chunk_bytes
        self._size = size

    def change(self, at: Upload, part: range, refusal: RefusedError) -> None:
        """Take the next step.

        Raises:
            RegistryError: there is none.
        """
        is_small_enough = len(part) <= max(self._fewest, at.least)
        if refusal.status in _TOO_LARGE and not at.done and not is_small_enough:
            self.most, self._fewest = self._fewest, self._size
        elif len(part) == self._size:
            raise refusal.error
        else:
            self.most = self._size


def _look_again(registry: Registry, content: Content, at: Upload, refusal: RefusedError) -> Upload | None:
    """Ask how far an upload is to which our bytes do not belong; None: nowhere else than we thought."""
    if refusal.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not at.done:
        return None
    asked = patiently(registry.reference.host, partial(resume_upload, registry, content, at))
    return asked if asked.done not in {0, at.done} else None
