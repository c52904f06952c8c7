"""Bodies of requests, which anybody may send: each has a bound and a deadline."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from binary_split.service.problems import LATE_BODY, MALFORMED_BODY, ProblemError

_TIMEOUT_S = 10


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """Return the body.

    Raises:
        ProblemError: it is too long or too slow, or its sender has left.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            async for part in request.stream():
                body += part
                if len(body) > max_bytes:
                    raise ProblemError(MALFORMED_BODY)
    except (TimeoutError, ClientDisconnect):
        raise ProblemError(LATE_BODY) from None
    return bytes(body)
