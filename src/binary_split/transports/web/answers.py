"""What an answer to a request for a part of a file says (RFC 9110, sections 8.8, 10.2.3 and 14.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from binary_split.errors import ArchiveUnreadableError
from binary_split.http_dates import parse_retry_after
from binary_split.transports.web.http_pool import PassingError
from binary_split.transports.web.proxy import HINT as PROXY_HINT

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_HINTS: dict[int, str] = {
    HTTPStatus.NOT_FOUND: "Check the address: there is no such file.",
    HTTPStatus.FORBIDDEN: "The server does not let this machine read the file: ask who runs it.",
    HTTPStatus.UNAUTHORIZED: "An archive is sealed: let all read it, or ask for a client certificate.",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: PROXY_HINT,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "The file is empty or was cut.",
}


@dataclass(frozen=True, slots=True)
class GivenPart:
    """Which part of a file an answer holds.

    Attributes:
        first: its first byte's place.
        last: its last byte's place.
        total: the size of the file.
    """

    first: int
    last: int
    total: int

    def verify_is(self, first: int, last: int) -> None:
        """Check that it is the part that was asked for.

        Raises:
            PassingError: it is another one.
        """
        if (self.first, self.last) != (first, last):
            raise PassingError("the server gave another part than was asked for")


def verify_answered(response: BaseHTTPResponse) -> None:
    """Check that a server did not put us off.

    Raises:
        PassingError: it has no time.
    """
    if response.status in _PASSING:
        asked = response.headers.get("Retry-After", "")
        retry_after_s = parse_retry_after(asked, date=response.headers.get("Date", ""))
        raise PassingError(f"the server answers {response.status}", retry_after_s)


def verify_status(response: BaseHTTPResponse, url: str) -> None:
    """Check an answer that is no redirect, and does not put us off.

    Raises:
        ArchiveUnreadableError: the server refuses the file.
    """
    status = response.status
    if status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        raise ArchiveUnreadableError(f"the server of {url} answers {status}", hint=_HINTS.get(status))


def parse_part(response: BaseHTTPResponse) -> GivenPart:
    """Parse which part an answer 206 holds.

    Raises:
        ArchiveUnreadableError: the server does not say it right.
    """
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or response.headers.get("Content-Encoding", "identity") != "identity":
        raise ArchiveUnreadableError("the server gives parts in a way that nobody can use")
    return GivenPart(*map(int, match.groups()))


def parse_validator(response: BaseHTTPResponse) -> str:
    """Parse what tells one state of a file from another; empty where the server names nothing that does."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
