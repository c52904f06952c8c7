"""What an enrolled device asks for: its enrolment, and fragments that are sealed to its key."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Request, Security
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from binary_split.errors import ConfigError, EnrolmentRefusedError
from binary_split.keyservice.answers import StoreOf, client_of
from binary_split.keyservice.device_schemas import (
    ENROLMENT_ANSWERS,
    ENROLMENT_BODY,
    RELEASE_ANSWERS,
    RELEASE_BODY,
)
from binary_split.keyservice.releases import ReleaseRequest
from binary_split.keyservice.sealing import seal_released
from binary_split.sealedfragment import MEDIA_TYPE, PublicKey, parse_nonce
from binary_split.service.bearer import BearerToken
from binary_split.service.bodies import read_body
from binary_split.service.problems import MALFORMED_BODY, NO_STORE, ProblemError

ENROLLED_TOKEN_LIFETIME = timedelta(days=365)
"""How long the token works that an enrolment gives."""

_BODY_BYTES = 16 * 1024

router = APIRouter(redirect_slashes=False)


@router.post(
    "/v1/keys/{key_id}/release",
    response_class=Response,
    responses=RELEASE_ANSWERS,
    openapi_extra=RELEASE_BODY,
    summary="Fetch a fragment, sealed to the key of the token's device",
    operation_id="releaseSealedFragment",
    tags=["fragments"],
)
async def release_sealed(
    request: Request, store: StoreOf, token: Annotated[str, Security(BearerToken())], key_id: str
) -> Response:
    """Answer with the fragment, sealed to the key of the token's device, once its release is recorded."""
    (text,) = await _read_texts(request, "nonce")
    try:
        nonce = parse_nonce(text)
    except ValueError:
        raise ProblemError(MALFORMED_BODY) from None
    asked = ReleaseRequest(token=token, key_id=key_id, is_sealed=True, nonce=nonce, source=client_of(request))
    released = await asyncio.wrap_future(store.submit_release(asked))
    return Response(seal_released(released, nonce).serialise(), media_type=MEDIA_TYPE, headers=NO_STORE)


@router.post(
    "/v1/enroll",
    response_class=Response,
    responses=ENROLMENT_ANSWERS,
    openapi_extra=ENROLMENT_BODY,
    summary="Turn a one-time code and a public key into an enrolled device",
    operation_id="enrollDevice",
    tags=["devices"],
)
async def _enroll(request: Request, store: StoreOf) -> Response:
    code, text = await _read_texts(request, "code", "public_key")
    try:
        public_key = PublicKey.parse(text)
        public_key.verify_usable()
    except ConfigError:
        raise ProblemError(MALFORMED_BODY) from None
    try:
        device, issued = await run_in_threadpool(
            store.enrolment.redeem,
            code,
            public_key.serialise().encode(),
            token_lifetime=ENROLLED_TOKEN_LIFETIME,
        )
    except EnrolmentRefusedError:
        store.failures.note(source=client_of(request), reason="bad-code")
        raise
    document = {
        "device": device.device_id,
        "token": issued.text,
        "expires": issued.record.expires.isoformat(),
    }
    return JSONResponse(document, headers=NO_STORE)


async def _read_texts(request: Request, *names: str) -> list[str]:
    """Return these members of the JSON object that is the body; others are passed over.

    Raises:
        ProblemError: it is no such object, too long or too slow.
    """
    try:
        document = json.loads(await read_body(request, max_bytes=_BODY_BYTES))
        texts = [document[name] for name in names]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ProblemError(MALFORMED_BODY) from None
    if not all(isinstance(text, str) and text.isascii() for text in texts):
        raise ProblemError(MALFORMED_BODY)
    return texts
