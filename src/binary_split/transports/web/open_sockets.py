"""The open sockets of a client, so that a wait for the far end can be ended from here.

The time-outs of urllib3 bound each single wait: a server that sends a byte now and then is never late.
"""

from __future__ import annotations

import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Connection(HTTPConnection):
    def __init__(self, *args: Any, opened: Callable[[socket.socket], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._opened = opened

    def connect(self) -> None:
        super().connect()
        self._opened(self.sock)


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class OpenSockets:
    """Knows the sockets of some connection pools; for any number of threads.

    Attributes:
        breaks: how often all of them were shut down.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._is_cut = False
        self.breaks = 0

    def verify_uncut(self, breaks: int) -> None:
        """Check that an answer was not cut short here: its header may look whole.

        Args:
            breaks: how many there had been when it was asked for.

        Raises:
            TimeoutError: it was.
        """
        if self._is_cut or self.breaks > breaks:
            raise TimeoutError("no answer in time")

    def watch(self, pools: urllib3.PoolManager) -> None:
        """Take note of every socket that these will open."""
        classes: dict[str, Any] = {
            "http": partial(self._make_pool, urllib3.HTTPConnectionPool, _Connection),
            "https": partial(self._make_pool, urllib3.HTTPSConnectionPool, _TlsConnection),
        }
        pools.pool_classes_by_scheme = classes  # which are only called

    def cut(self) -> None:
        """Shut them all down, and each that is opened later; who waits for one finds its stream at an end."""
        self._is_cut = True
        self.break_off()

    def break_off(self) -> None:
        """Shut down all that are open now: who waits for one asks again, over another."""
        with self._lock:
            self.breaks += 1
            sockets = list(self._sockets)
        for each in sockets:
            _shut_down(each)

    @contextmanager
    def cut_after(self, seconds: float) -> Iterator[None]:
        """Cut them when the time is over, unless the block has ended."""
        timer = threading.Timer(seconds, self.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _make_pool(
        self,
        pool_class: type[urllib3.HTTPConnectionPool],
        connection_class: type[_Connection],
        *args: Any,
        **options: Any,
    ) -> urllib3.HTTPConnectionPool:
        pool = pool_class(*args, **options)
        pool.ConnectionCls = partial(connection_class, opened=self._add)  # type: ignore[assignment]
        return pool

    def _add(self, sock: socket.socket) -> None:
        with self._lock:
            self._sockets.add(sock)
            is_cut = self._is_cut
        if is_cut:
            _shut_down(sock)


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):
        # of a plain socket, even where it carries TLS: nobody waits for a goodbye, nor says one
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
