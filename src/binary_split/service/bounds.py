"""What surrounds the routes: how long a body may be, and how long an answer may take to begin."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from binary_split.service.problems import BODY_TOO_LATE, BODY_TOO_LONG, TOO_LATE, Problem


class _TooLongError(Exception):
    """More of a body came than is taken."""


class Bounds:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, body_bytes: int, answer_s: float) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._answer_s = answer_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; answer it with 413, 408 or 503 where it goes beyond a bound."""
        if _stated_bytes(scope) > self._body_bytes:
            await BODY_TOO_LONG.response()(scope, receive, send)
            return
        course = _Course(receive, send, self._body_bytes)
        problem: Problem = BODY_TOO_LONG
        try:
            async with asyncio.timeout(self._answer_s) as course.deadline:
                await self._app(scope, course.receive, course.send)
            if not course.is_too_long:
                return
        except _TooLongError:
            pass
        except TimeoutError:
            if course.deadline is None or not course.deadline.expired():
                raise
            problem = BODY_TOO_LATE if course.is_receiving else TOO_LATE
        if course.is_answered:
            raise ConnectionAbortedError
        await problem.response()(scope, receive, send)


class _Course:
    """One request: what has come of it, and whether its answer has begun."""

    def __init__(self, receive: Receive, send: Send, body_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._left = body_bytes
        self.deadline: asyncio.Timeout | None = None
        self.is_receiving = False
        self.is_too_long = False
        self.is_answered = False

    async def receive(self) -> Message:
        self.is_receiving = True
        message = await self._receive()
        self.is_receiving = False
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.is_too_long = True
                raise _TooLongError
        return message

    async def send(self, message: Message) -> None:
        if self.is_too_long and not self.is_answered:
            return  # what a framework made of our error
        if not self.is_answered and self.deadline is not None:
            self.is_answered = True
            self.deadline.reschedule(None)  # an export takes as long as it takes
        await self._send(message)


def _stated_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)  # the server has checked that it is a number
    return 0
