"""The plain release: the fragment that a token opens, as it is."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Security
from starlette.responses import Response

from binary_split.keyservice.answers import StoreOf, client_of, document, problem
from binary_split.keyservice.releases import ReleaseRequest
from binary_split.service.bearer import BearerToken
from binary_split.service.problems import NO_STORE

_OCTETS = "application/octet-stream"

router = APIRouter(redirect_slashes=False)

_FRAGMENT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: document("The fragment, byte-exact.", _OCTETS, {"type": "string", "format": "binary"}),
    400: problem("The Authorization header is malformed or there twice.", "WWW-Authenticate"),
    401: problem("No token, or one that is unknown or has expired.", "WWW-Authenticate"),
    403: problem(
        "The token was revoked, or its device disabled; "
        "or this fragment is released sealed only, as the problem's type says.",
        "WWW-Authenticate",
    ),
    404: problem("The token does not open this key-id; whether there is one makes no difference."),
    429: problem("Asked too often with this token, by this device, or in vain from there.", "Retry-After"),
    500: problem("The service failed; its log says where."),
    503: problem("The store is locked or its disk is full: try again.", "Retry-After"),
    "default": problem("Any other problem."),  # and so no 422, which is never answered
}


@router.get(
    "/binary-split/key-fragment",
    response_class=Response,
    responses=_FRAGMENT_ANSWERS,
    summary="Fetch the fragment that the token opens",
    operation_id="fetchKeyFragment",
    tags=["fragments"],
)
async def key_fragment(
    request: Request,
    store: StoreOf,
    token: Annotated[str, Security(BearerToken())],
    key_id: Annotated[
        str | None, Query(description="The fragment that is meant; without it the token's own.")
    ] = None,
) -> Response:
    """Answer with the fragment, once its release is recorded."""
    asked = ReleaseRequest(token=token, key_id=key_id, source=client_of(request))
    released = await asyncio.wrap_future(store.submit_release(asked))
    return Response(released.fragment.reveal(), media_type=_OCTETS, headers=NO_STORE)
