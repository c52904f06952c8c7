"""The key service's own answers other than a fragment, and which of our errors becomes which."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from binary_split.errors import (
    BinarySplitError,
    DeviceKeyNeededError,
    EnrolmentRefusedError,
    FragmentForbiddenError,
    FragmentNotFoundError,
    KeyEncryptionKeyError,
    KeyStoreDamagedError,
    KeyStoreStateError,
    RateLimitedError,
    TokenRejectedError,
)
from binary_split.model import DEVICE_KEY_NEEDED as DEVICE_KEY_NEEDED_TYPE
from binary_split.service.problems import (
    FAILED,
    REJECTED_TOKEN,
    RETRY_AFTER_S,
    Problem,
    challenge,
    schema_of,
    too_many,
)

SCHEMA = schema_of(DEVICE_KEY_NEEDED_TYPE)

REVOKED_TOKEN = Problem(  # 403, not 401: docs/adr/0010-revoked-token-403.md
    HTTPStatus.FORBIDDEN,
    "The token was revoked, or its device disabled.",
    challenge("invalid_token", "The token was revoked, or its device disabled"),
)
OUT_OF_SCOPE = Problem(  # before anything is looked at: it tells nothing of what there is
    HTTPStatus.FORBIDDEN,
    "The token is not for this.",
    challenge("insufficient_scope", "The token is not for this"),
)
NO_SUCH_FRAGMENT = Problem(HTTPStatus.NOT_FOUND, "There is no such fragment for this token.")
DEVICE_KEY_NEEDED = (
    Problem(  # for whoever may have it sealed: docs/adr/0051-plain-release-to-an-enrolled-device.md
        HTTPStatus.FORBIDDEN,
        "This fragment is released sealed to the key of an enrolled device only.",
        kind=DEVICE_KEY_NEEDED_TYPE,
    )
)
REFUSED_CODE = Problem(HTTPStatus.FORBIDDEN, "The code is unknown, was used or has expired.")
UNAVAILABLE = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE, "The store cannot be used now.", {"Retry-After": str(RETRY_AFTER_S)}
)

_BY_ERROR: Mapping[type[BinarySplitError], Problem] = {
    TokenRejectedError: REJECTED_TOKEN,
    FragmentForbiddenError: REVOKED_TOKEN,
    FragmentNotFoundError: NO_SUCH_FRAGMENT,
    DeviceKeyNeededError: DEVICE_KEY_NEEDED,
    EnrolmentRefusedError: REFUSED_CODE,
    KeyStoreStateError: UNAVAILABLE,
    KeyStoreDamagedError: FAILED,
    KeyEncryptionKeyError: FAILED,
}


def answer_error(request: Request, error: Exception) -> Response:
    """Answer one of our own errors with its problem; what has none is a 500 without details."""
    if not isinstance(error, BinarySplitError):
        return FAILED.response()
    request.scope.setdefault("state", {})["problem"] = error.code  # for the log and the figures
    if isinstance(error, RateLimitedError):
        return too_many(error.retry_after_s).response()
    return _BY_ERROR.get(type(error), FAILED).response()
