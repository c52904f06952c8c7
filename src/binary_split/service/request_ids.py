"""The id of a request, by which its answer and its log line are found: the client's own, or a new one."""

from __future__ import annotations

import re
import secrets

from starlette.types import Scope

HEADER = b"x-request-id"
_FORM = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRETS = re.compile(rb"bs[a-z]_|bearer", re.IGNORECASE)
_RANDOM_BYTES = 12


def request_id(scope: Scope) -> str:
    """Return the one id that the client sent, if it has the form of one and not of a secret; or a new one."""
    sent = [value for name, value in scope["headers"] if name == HEADER]
    if len(sent) == 1 and _FORM.fullmatch(sent[0]) and not _SECRETS.search(sent[0]):
        return str(sent[0], "ascii")
    return secrets.token_hex(_RANDOM_BYTES)
