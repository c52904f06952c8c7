"""What the key service answered, and which error or fragment that is. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from binary_split.errors import (
    DeviceKeyNeededError,
    FragmentEmptyError,
    FragmentForbiddenError,
    FragmentNotBinaryError,
    FragmentNotFoundError,
    FragmentTooLongError,
    KeyServiceAnswerError,
    KeyServiceError,
    KeyServiceRedirectError,
    KeyServiceUnavailableError,
    RateLimitedError,
    TokenRejectedError,
)
from binary_split.keyclient.token import BearerToken
from binary_split.model import DEVICE_KEY_NEEDED, Fragment

JSON = "application/json"
_QUOTE_CHARS = 200
_REDIRECTS = {301, 302, 303, 307, 308}
_REFUSALS: dict[int, tuple[type[KeyServiceError], str]] = {
    401: (TokenRejectedError, "the key service does not accept the token (401)"),
    403: (FragmentForbiddenError, "the key service refuses the fragment to this token (403)"),
    404: (FragmentNotFoundError, "the key service has no such fragment for this token (404)"),
    429: (RateLimitedError, "the key service was asked too often (429)"),
}
_DOCUMENT = re.compile(r"text/(?:html|xml)|application/(?:json|xml)|[^;]*\+(?:json|xml)")
_JSON = re.compile(r"application/(?:[^;]*\+)?json")
_HTML_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!--|\?xml|(?:!doctype|html|head|body|script|title|meta)\b)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the key service.

    Attributes:
        headers: by lower-case name; never shown, a hostile service may echo the token there.
        body: raw and undecoded, at most one byte more than what was asked for may have; never shown.
        is_json_wanted: JSON was asked for, and not bytes.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    is_json_wanted: bool = False

    def header(self, name: str) -> str:
        """Return a header's value, empty where there is none."""
        return self.headers.get(name.lower(), "")

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty where there is none."""
        return self.header("Content-Type").partition(";")[0].strip().lower()

    @property
    def coding(self) -> str:
        """The content coding; empty where the body is what it is."""
        coding = self.header("Content-Encoding").strip().lower()
        return "" if coding == "identity" else coding

    def is_body_wanted(self) -> bool:
        """Whether the body can be what was asked for, or an explanation: others are not even read."""
        if self.status == 200 and self.is_json_wanted:
            return not self.coding and self.media_type == JSON
        if self.status == 200:
            return not self.coding and not _DOCUMENT.fullmatch(self.media_type)
        return self.status >= 400 and not self.coding and bool(_JSON.fullmatch(self.media_type))


def read_fragment(answer: Answer, token: BearerToken, *, max_bytes: int) -> Fragment:
    """Return the fragment that an answer holds.

    Raises:
        KeyServiceError: one of its subclasses; the answer holds none.
    """
    _verify_taken(answer, token)
    if _DOCUMENT.fullmatch(answer.media_type):
        raise FragmentNotBinaryError("the answer is a document (HTML, XML or JSON) instead of a fragment")
    if _HTML_START.match(answer.body):
        raise FragmentNotBinaryError("the answer is a web page instead of a fragment")
    if answer.media_type != "application/octet-stream" and _parse_json_object(answer.body):
        raise FragmentNotBinaryError("the answer is a JSON document instead of a fragment")
    _verify_size(answer, max_bytes)
    return Fragment(answer.body)


def read_document(answer: Answer, token: BearerToken | None, *, max_bytes: int) -> bytes:
    """Return the JSON document that an answer holds, unparsed.

    Raises:
        KeyServiceError: one of its subclasses; the answer holds none.
    """
    _verify_taken(answer, token)
    if answer.media_type != JSON:
        raise FragmentNotBinaryError("the answer is a web page, or anything else but the JSON asked for")
    _verify_size(answer, max_bytes)
    return answer.body


def _verify_taken(answer: Answer, token: BearerToken | None) -> None:
    if answer.status != 200:
        raise _refusal(answer, token)
    if answer.coding:
        raise KeyServiceAnswerError("the answer is compressed, which nobody asked for")


def _verify_size(answer: Answer, max_bytes: int) -> None:
    if len(answer.body) > max_bytes:
        raise FragmentTooLongError(f"the answer is longer than {max_bytes} bytes")
    if not answer.body:
        raise FragmentEmptyError("the key service answered with an empty body")


def _refusal(answer: Answer, token: BearerToken | None) -> KeyServiceError:
    status = answer.status
    if status in _REDIRECTS:
        origin = _quote(_origin(answer.header("Location")), token)
        to = f" to {origin}" if origin else ""
        return KeyServiceRedirectError(f"the key service redirects{to} ({status})")
    said = explain_refusal(answer, token)
    if status == 403 and _parse_json_object(answer.body).get("type") == DEVICE_KEY_NEEDED:
        return DeviceKeyNeededError(f"the key service releases this fragment sealed only (403){said}")
    if status in _REFUSALS:
        kind, message = _REFUSALS[status]
        return kind(message + said)
    if 500 <= status <= 599:
        return KeyServiceUnavailableError(f"the key service failed ({status}){said}")
    return KeyServiceAnswerError(f"the key service answered with status {status}{said}")


def _origin(location: str) -> str:
    """Return scheme and host of a redirect's target, which never holds the user info that the whole might."""
    try:
        parts = urlsplit(location)
        return f"{parts.scheme}://{parts.hostname}" if parts.scheme and parts.hostname else ""
    except ValueError:
        return ""


def explain_refusal(answer: Answer, secret: BearerToken | None) -> str:
    """Return what a problem document (RFC 9457) says, behind a colon; empty where it says nothing.

    Args:
        answer: the service's.
        secret: what must not be repeated, though the service may echo it.
    """
    problem = _parse_json_object(answer.body)
    texts = (problem.get(member) for member in ("detail", "title"))
    detail = _quote(next((text for text in texts if isinstance(text, str) and text), ""), secret)
    return f": {detail}" if detail else ""


def _parse_json_object(body: bytes) -> dict[str, object]:
    """Return the object that a body is, empty where it is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _quote(text: str, token: BearerToken | None) -> str:
    """Return foreign words fit for a message: one line, bounded, and none that repeat the token."""
    printable = "".join(char if char.isprintable() else " " for char in text[: 4 * _QUOTE_CHARS])
    quoted = " ".join(printable.split())[:_QUOTE_CHARS]
    return "" if token is not None and token.is_echoed_in(quoted) else quoted
