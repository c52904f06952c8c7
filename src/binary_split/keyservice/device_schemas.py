"""How OpenAPI describes what enrolled devices ask for and get."""

from __future__ import annotations

from typing import Any

from binary_split.keyservice.answers import document, problem
from binary_split.sealedfragment import MEDIA_TYPE, Kem

_TEXT = {"type": "string"}
_NONCE = {"type": "string", "pattern": "^[A-Za-z0-9_-]{22,86}$", "description": "16 to 64 bytes, base64url."}
_SEALED = {
    "type": "object",
    "required": ["device", "kem", "key_id", "nonce", "sealed", "v"],
    "additionalProperties": False,
    "properties": {
        "device": _TEXT,
        "kem": {"type": "string", "enum": [str(kem) for kem in Kem]},
        "key_id": _TEXT,
        "nonce": _NONCE,
        "sealed": _TEXT,
        "v": {"type": "integer", "const": 1},
    },
}
_ENROLMENT = {
    "type": "object",
    "required": ["device", "token", "expires"],
    "properties": {"device": _TEXT, "token": _TEXT, "expires": {"type": "string", "format": "date-time"}},
}
_FAILURES: dict[int | str, dict[str, Any]] = {
    429: problem("Asked too often with this token, by this device, or in vain from there.", "Retry-After"),
    500: problem("The service failed; its log says where."),
    503: problem("The store is locked or its disk is full: try again.", "Retry-After"),
    "default": problem("Any other problem."),
}


def _body(**members: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": list(members), "properties": members}
    return {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": schema}}}}


RELEASE_BODY = _body(nonce=_NONCE)
RELEASE_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: document("The fragment, sealed to the key that the token's device enrolled.", MEDIA_TYPE, _SEALED),
    400: problem("The Authorization header or the body is malformed."),
    401: problem("No token, or one that is unknown or has expired.", "WWW-Authenticate"),
    403: problem("The token was revoked, or its device disabled.", "WWW-Authenticate"),
    404: problem("The device may not have this key now; whether there is one makes no difference."),
    **_FAILURES,
}

ENROLMENT_BODY = _body(code=_TEXT, public_key=_TEXT)
ENROLMENT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: document("The device's id and its token, this once.", MEDIA_TYPE, _ENROLMENT),
    400: problem("The body is malformed, or the public key is none."),
    403: problem("The code is unknown, was used, was revoked or has expired."),
    **_FAILURES,
}
