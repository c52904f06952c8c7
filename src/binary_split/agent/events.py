"""The pictures as a stream of server-sent events, for any reader at its own pace."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import Response, StreamingResponse

from binary_split.agent.access import CallerOf
from binary_split.agent.answers import CALLERS_PROBLEMS, TOO_MANY_READERS, UnlockerOf, problem
from binary_split.agent.documents import describe_status
from binary_split.agent.unlocker import Unlocker
from binary_split.config import LIMITS
from binary_split.service.problems import NO_STORE, ProblemError

_RETRY_MS = 2000
_NUMBER = re.compile(r"[0-9]{1,18}")

router = APIRouter(redirect_slashes=False)


class Events(StreamingResponse):
    """A stream that we end ourselves: FastAPI's own class would go on until the reader leaves."""

    media_type = "text/event-stream"


class Streams:
    """Counts the readers, and tells them when to leave.

    Args:
        is_ending: whether the server stops: it waits for its answers to end.
    """

    def __init__(self, is_ending: Callable[[], bool] = lambda: False) -> None:
        self._is_ending = is_ending
        self.open = 0

    def verify_room(self) -> None:
        """Check that one more reader may come.

        Raises:
            ProblemError: there are too many (503).
        """
        if self.open >= LIMITS.agent_streams:
            raise ProblemError(TOO_MANY_READERS)

    async def events(self, unlocker: Unlocker, after: int | None) -> AsyncIterator[bytes]:
        """Give the latest picture whenever it is another one than the reader has, until the server stops.

        Pictures that follow each other closely are not all given: the reader is to know how it is now.

        Args:
            unlocker: whose pictures.
            after: the number of the last one that the reader has; None: none.
        """
        told_at = time.monotonic()
        self.open += 1
        try:
            while not self._is_ending():
                status, now = unlocker.status(), time.monotonic()
                if status.number != after:
                    after, told_at = status.number, now
                    text = json.dumps(describe_status(status))
                    yield format_sse_event(data_str=text, event="status", id=str(after), retry=_RETRY_MS)
                elif now - told_at >= LIMITS.agent_heartbeat_s:
                    told_at = now
                    yield KEEPALIVE_COMMENT
                await asyncio.sleep(LIMITS.agent_event_s)
        finally:
            self.open -= 1


@router.get(
    "/unlock/events",
    summary="Follow the unlock",
    description=(
        "An event `status` with a Status as its data whenever it changes, at most one each 0.2 s; a comment "
        "where nothing changes for 15 s. Whoever comes back with `Last-Event-ID` is told only what is new."
    ),
    operation_id="followUnlock",
    tags=["unlock"],
    response_class=Events,
    responses={
        200: {
            "description": "Events, until the reader or the agent leaves.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        422: problem("The header is not what it should be."),
        503: problem("There are too many readers.", "Retry-After"),
        **CALLERS_PROBLEMS,
    },
)
async def _events(
    request: Request,
    _caller: CallerOf,
    unlocker: UnlockerOf,
    last_event_id: Annotated[str | None, Header(description="The id of the last event that came.")] = None,
) -> Response:
    streams: Streams = request.app.state.streams
    streams.verify_room()
    after = int(last_event_id) if last_event_id and _NUMBER.fullmatch(last_event_id) else None
    # X-Accel-Buffering: a proxy is not to hold events back
    headers = {**NO_STORE, "X-Accel-Buffering": "no"}
    return Events(streams.events(unlocker, after), headers=headers)
