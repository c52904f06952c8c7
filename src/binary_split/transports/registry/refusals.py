"""What a registry or its token service says where it refuses.

OCI distribution-spec 1.1, "Error Codes"; RFC 6749, section 5.2; and Docker Hub's own way.
"""

from __future__ import annotations

import json
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import urllib3.exceptions

from binary_split.config import LIMITS
from binary_split.errors import RegistryError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_REASON_CHARACTERS = 200
_NAMES = ("code", "message", "error", "error_description", "details")
_NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_TOO_LARGE = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.INSUFFICIENT_STORAGE}
_NOT_FOR_US = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


def read_reason(response: BaseHTTPResponse) -> str:
    """Return the code and the words of the first error in an answer's body; empty where there are none.

    It is a stranger's text: short, and of printable ASCII alone.
    """
    with suppress(*_NONSENSE, OSError, urllib3.exceptions.HTTPError):
        document: Any = json.loads(response.read(LIMITS.token_answer_bytes))
        first = document["errors"][0] if "errors" in document else document
        words = ": ".join(str(first[name]) for name in _NAMES if first.get(name))
        return "".join(each for each in words if each.isascii() and each.isprintable())[:_REASON_CHARACTERS]
    return ""


def refused(response: BaseHTTPResponse, host: str, what: str) -> RegistryError:
    """Return the error for an answer that refuses.

    Args:
        response: the answer, of which nothing was read.
        host: of the registry, as the user wrote it.
        what: it does not do, such as ``take the manifest``.
    """
    reason = read_reason(response)
    words = f"{host} does not {what}: it answers {response.status}"
    return RegistryError(
        f"{words} ({reason})" if reason else words, hint=_hint(response.status, reason, host)
    )


def _hint(status: int, reason: str, host: str) -> str | None:
    if status in _NOT_FOR_US:
        return f"Log in with `docker login {host}` or `podman login {host}`, as somebody who may do that."
    if status in _TOO_LARGE:
        return "It is too large for the registry or for a proxy before it, or the quota is used up."
    if reason.startswith("NAME_UNKNOWN"):
        return "Make the repository in the registry first: it makes none by itself."
    return None
