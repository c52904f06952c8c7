"""The HTTP server of one process: uvicorn, with our protocol, our event loop, and what systemd is told."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp

from binary_split.service import systemd
from binary_split.service.admission import TlsDoor
from binary_split.service.protocol import BoundedProtocol

if TYPE_CHECKING:
    from types import FrameType

    _BaseLoop = asyncio.SelectorEventLoop
else:
    try:
        from uvloop import Loop as _BaseLoop
    except ImportError:  # not made for every Python
        _BaseLoop = asyncio.SelectorEventLoop

_HEAD_BYTES = 32 * 1024
_KEEP_ALIVE_S = 5
_STOP_S = 10


class Server(uvicorn.Server):
    """Tells systemd when it stops."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop: what is under way is finished first."""
        systemd.notify(systemd.STOPPING)
        super().handle_exit(sig, frame)


def build_server(
    app: ASGIApp, context: ssl.SSLContext | None, *, head_s: float, trusted_proxies: Sequence[str] = ()
) -> Server:
    """Return the server, not running yet.

    Args:
        app: what answers.
        context: of TLS; None is plain http.
        head_s: the longest that a request's head may take, in seconds.
        trusted_proxies: addresses and networks whose ``X-Forwarded-For`` is believed.
    """
    watchdog_s = systemd.watchdog_s()
    config = uvicorn.Config(
        app,
        http=type("Protocol", (BoundedProtocol,), {"head_s": head_s}),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # it would log the query; the application writes its own line
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_S,
        callback_notify=_tell_alive if watchdog_s else None,
        timeout_notify=max(1, int(watchdog_s / 3)),
    )
    logging.getLogger("uvicorn.access").disabled = True  # whatever handlers others add later
    config.load()
    config.ssl = context  # ours: its versions are stated, and no passphrase is asked for on a terminal
    return Server(config)


def stop_on_signals(server: Server) -> None:
    """Have SIGTERM and SIGINT end the server well, also before it runs and when it has stopped.

    uvicorn has them to itself only while it runs, and raises them again afterwards. Nothing is raised out of
    a handler: it would come anywhere, into an import or between two steps of the event loop.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)


def run_server(server: uvicorn.Server, listener: socket.socket, *, threads: int = 8) -> None:
    """Answer requests on a listening socket until the server is told to stop.

    Args:
        server: made by ``build_server``.
        listener: it is closed at the end.
        threads: how many requests are worked on at once, of those that need a thread.
    """

    async def serve() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads
        await server.serve(sockets=[listener])

    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(serve())


class _Loop(_BaseLoop):
    """An event loop that takes TLS connections through a door of ours, and those of a unix socket."""

    async def create_server(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        context, listener = options.get("ssl"), options.get("sock")
        if listener is not None and listener.family == socket.AF_UNIX:
            return await super().create_unix_server(protocol_factory, sock=listener)
        if context is None or listener is None:
            return await super().create_server(protocol_factory, *args, **options)
        return TlsDoor(listener, protocol_factory, context)


async def _tell_alive() -> None:
    systemd.notify(systemd.ALIVE)
