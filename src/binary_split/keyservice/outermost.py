"""What surrounds every request: one log line, and a bare 500 where something unexpected happened.

Neither may quote the request: a query, a header or an exception's message can hold a token.
"""

from __future__ import annotations

import logging
import re
import traceback
from types import TracebackType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from binary_split.keyservice.problems import FAILED
from binary_split.keyservice.tokens import TOKEN_PREFIX

ACCESS_LOG = logging.getLogger("binary_split.keyservice.access")
ERROR_LOG = logging.getLogger("binary_split.keyservice.error")

_PATH_CHARACTERS = 200
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[^/]*")


class Outermost:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; log it; answer it if nobody else did."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # before the answer leaves: whoever has it finds it in the log
                ACCESS_LOG.info("%s %s %s %d", _client(scope), scope["method"], _path(scope), status)
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception as error:
            ERROR_LOG.error("unexpected %s\n%s", type(error).__name__, _frames(error.__traceback__))
            if status:  # too late for another answer: let the server cut the connection
                raise ConnectionAbortedError from None
            await FAILED.response()(scope, receive, send_noting)


def _frames(trace: TracebackType | None) -> str:
    """Return where it happened, without the exception's message."""
    return "".join(traceback.format_list(traceback.extract_tb(trace)))


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "-"


def _path(scope: Scope) -> str:
    """Return the path as it was sent, still percent-encoded: no line break gets into the log."""
    path = scope.get("raw_path", b"").decode("ascii", "replace")
    return _TOKEN.sub(f"{TOKEN_PREFIX}…", path)[:_PATH_CHARACTERS]
