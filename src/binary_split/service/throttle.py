"""What surrounds the routes: failures of one address are answered with 429 once there are many of them.

Only an answer that says no is replaced, after everything was looked at. So a good token works from any
address at any time: fleets sit behind one, and whoever attacks may sit there too.
"""

from __future__ import annotations

import math

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from binary_split.service.pace import Pace, parse_source
from binary_split.service.problems import too_many

_FAILURES = frozenset({401, 403})


class FailureThrottle:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, pace: Pace) -> None:
        self._app = app
        self._pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and judge its answer."""
        is_replaced = False

        async def send_judged(message: Message) -> None:
            nonlocal is_replaced
            if message["type"] == "http.response.start" and message["status"] in _FAILURES:
                client = scope.get("client")
                wait_s = self._pace.take(parse_source(client[0]) if client else "-")
                if wait_s:
                    is_replaced = True
                    await too_many(math.ceil(wait_s)).response()(scope, receive, send)
            if not is_replaced:
                await send(message)

        await self._app(scope, receive, send_judged)
