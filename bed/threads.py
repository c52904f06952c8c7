"""What servers that do as they are told have in common: a listening socket, a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class ThreadServer(ABC):
    """Serves each connection in a thread of its own; use it as a context manager, once.

    Args:
        listener: listens already.

    Attributes:
        connections: how many were accepted.
        stopping: is set when the server is left; no thread may outlive that by long.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.connections = 0
        self.stopping = threading.Event()
        self._listener = listener
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accept
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @abstractmethod
    def _serve(self, sock: socket.socket, number: int) -> None:
        """Serve a connection, the first being number 0, and close it."""

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock, self.connections))
            self.connections += 1
            self._threads.append(thread)
            thread.start()
