"""What surrounds every request: its id, one log line, its figures, and a bare 500 for the unexpected.

None of it may quote the request: a query, a header or an exception's message can hold a token.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from binary_split.service.log_lines import frames
from binary_split.service.metrics import RequestMetrics
from binary_split.service.pace import parse_source
from binary_split.service.problems import FAILED
from binary_split.service.request_ids import HEADER, request_id

ACCESS_LOG = logging.getLogger("binary_split.service.access")
ERROR_LOG = logging.getLogger("binary_split.service.error")

_PATH_CHARACTERS = 200
_TOKEN = re.compile(r"(bs[a-z]_)[^/]*")
PROBES = ("/healthz", "/readyz")


class Outermost:
    """ASGI middleware around the whole application.

    Args:
        app: the application.
        metrics: counts its answers.
        quiet: routes that are asked all the time: their success is counted and not logged.
    """

    def __init__(self, app: ASGIApp, *, metrics: RequestMetrics, quiet: Collection[str] = PROBES) -> None:
        self._app = app
        self._metrics = metrics
        self._quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; log and count it; answer it if nobody else did."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        name = request_id(scope)
        scope.setdefault("state", {})["request_id"] = name
        _judge_client(scope)
        is_answered = False

        async def send_noting(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                message.setdefault("headers", []).append((HEADER, name.encode()))
                # before the answer leaves: whoever has it finds it in the log
                self._note(scope, message["status"], time.perf_counter() - started)
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, send_noting)
        except Exception as error:
            ERROR_LOG.error(
                "unexpected %s\n%s",
                type(error).__name__,
                frames(error.__traceback__),
                extra={"request_id": name},
            )
            if is_answered:  # too late for another answer: let the server cut the connection
                raise ConnectionAbortedError from None
            await FAILED.response()(scope, receive, send_noting)
        finally:
            self._metrics.in_flight.dec()

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if route != "other" else "other"  # a client's word makes no new series
        problem = scope["state"].get("problem", "")
        self._metrics.observe(route=route, method=method, status=status, seconds=seconds, problem=problem)
        if route in self._quiet and status == 200:
            return
        fields = {
            "request_id": scope["state"]["request_id"],
            "client": _client(scope),
            "method": scope["method"],
            "path": _path(scope),
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        ACCESS_LOG.info("request", extra=fields | ({"problem": problem} if problem else {}))


def _judge_client(scope: Scope) -> None:
    """Forget a client that is no address: a proxy hands on what it was sent."""
    client = scope.get("client")
    if client and parse_source(client[0]) == "-":
        scope["client"] = None


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "-"


def _path(scope: Scope) -> str:
    """Return the path as it was sent, still percent-encoded: no line break gets into the log."""
    path = scope.get("raw_path", b"").decode("ascii", "replace")
    return _TOKEN.sub(r"\1…", path)[:_PATH_CHARACTERS]
