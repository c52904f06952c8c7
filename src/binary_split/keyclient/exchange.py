"""One bounded HTTP exchange with the key service."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, replace
from http.client import HTTPException

import requests
import urllib3.exceptions

from binary_split.config import Limits
from binary_split.errors import KeyServiceError
from binary_split.keyclient.address import Address
from binary_split.keyclient.answer import JSON, Answer
from binary_split.keyclient.connection import open_session
from binary_split.keyclient.failure import explain_failure
from binary_split.keyclient.token import BearerToken
from binary_split.keyclient.waiting import Deadline

# requests' own errors are OSErrors, ssl's and UnicodeError are OSErrors or ValueErrors.
_LIBRARY_ERRORS = (
    OSError,
    ValueError,
    HTTPException,
    urllib3.exceptions.HTTPError,
    urllib3.exceptions.HTTPWarning,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the key service: a GET for bytes or JSON, or a POST of JSON for JSON.

    Attributes:
        token: sent as ``Authorization: Bearer``; None sends none.
        body: the JSON to post; None makes it a GET. Never shown, it may hold a code.
        max_bytes: how long the answer's body may be.
        is_json_wanted: a GET is for JSON.
    """

    address: Address
    token: BearerToken | None
    max_bytes: int
    body: bytes | None = field(default=None, repr=False)
    is_json_wanted: bool = False

    @property
    def is_for_json(self) -> bool:
        """Whether the answer is to be JSON."""
        return self.is_json_wanted or self.body is not None

    @property
    def method(self) -> str:
        """``GET`` or ``POST``."""
        return "GET" if self.body is None else "POST"

    def headers(self) -> dict[str, str]:
        """Return the request's header."""
        headers = {
            "Accept": JSON if self.is_for_json else "application/octet-stream, */*;q=0.5",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": "binary-split",
        }
        if self.token is not None:
            headers["Authorization"] = self.token.authorization()
        if self.body is not None:
            headers["Content-Type"] = JSON
        return headers


def ask(
    request: Request,
    *,
    context: ssl.SSLContext | None,
    deadline: Deadline,
    limits: Limits,
) -> Answer:
    """Send one request and read its answer, of the body at most one byte more than it may have.

    Every wait ends with the deadline; ``context`` is None for plain HTTP.

    Raises:
        KeyServiceError: one of its subclasses; no whole answer came.
    """
    address = request.address
    with open_session(address, context, deadline, limits) as session:
        # Errors are raised outside the except clauses: what they would chain may hold request or body.
        failure: KeyServiceError
        try:
            response = session.request(
                request.method,
                address.url,
                data=request.body,
                headers=request.headers(),
                allow_redirects=False,
                stream=True,
                timeout=(limits.connect_timeout_s, limits.read_timeout_s),
            )
        except _LIBRARY_ERRORS as error:
            failure = explain_failure(error, host=address.host, answered=False, deadline=deadline)
        else:
            with response:
                return _read_answer(response, request, deadline)
    raise failure


def _read_answer(response: requests.Response, request: Request, deadline: Deadline) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    head = Answer(response.status_code, headers, is_json_wanted=request.is_for_json)
    if not head.is_body_wanted():
        return head
    failure: KeyServiceError
    try:
        return replace(head, body=_read_body(response, request.max_bytes + 1))
    except _LIBRARY_ERRORS as error:
        failure = explain_failure(error, host=request.address.host, answered=True, deadline=deadline)
    if head.status != 200:
        return head  # the status says enough without its explanation
    raise failure


def _read_body(response: requests.Response, max_bytes: int) -> bytes:
    body = bytearray()
    while len(body) < max_bytes:
        part = response.raw.read(max_bytes - len(body), decode_content=False)
        if not part:
            break
        body += part
    return bytes(body)
