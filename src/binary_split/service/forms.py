"""Forms of our own pages: what they send, and the proof that a page of ours sent it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from binary_split.service.bodies import read_body

_BODY_BYTES = 128 * 1024
_FIELDS = 50
_MEDIA_TYPE = "application/x-www-form-urlencoded"
_PURPOSE = b"binary-split/v1 console form"

Form = Mapping[str, list[str]]


class MalformedFormError(Exception):
    """What came is no form."""


async def read_form(request: Request) -> Form:
    """Return the fields of a form.

    Raises:
        MalformedFormError: it is none.
        ProblemError: it is too long or too slow.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != _MEDIA_TYPE:
        raise MalformedFormError
    body = await read_body(request, max_bytes=_BODY_BYTES)
    fields: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict"
        )
    except ValueError:
        raise MalformedFormError from None
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def only(form: Form, name: str) -> str:
    """Return a field that is there once at most; empty where it is not there."""
    values = form.get(name, [])
    return values[0] if len(values) == 1 else ""


def derive_form_token(secret: str) -> str:
    """Return the text that proves that a form is from whoever has the cookie."""
    return base64.urlsafe_b64encode(hmac.digest(secret.encode(), _PURPOSE, "sha256")).decode().rstrip("=")


def is_own_form(secret: str, form_token: str) -> bool:
    """Tell, in constant time, whether a form was made for this secret."""
    return bool(secret) and hmac.compare_digest(derive_form_token(secret).encode(), form_token.encode())


def is_foreign(request: Request) -> bool:
    """Tell whether the browser says that another site sent a form; the form's token decides beside it."""
    return request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}
