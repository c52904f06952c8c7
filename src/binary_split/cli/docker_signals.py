"""Ending together with the `docker` that started us, which may be interrupted without us."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from socket import socket

_SAME_KEY_S = 1.0


def end_with_docker(address: str) -> None:
    """Be interrupted, as by Ctrl-C, once `docker` hangs up.

    Args:
        address: its socket for plugins; an abstract one begins with @.
    """
    from socket import AF_UNIX, socket

    connection = socket(AF_UNIX)
    try:
        connection.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError:  # it has ended already, or offers none after all: as if it had not
        connection.close()
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _InterruptOnce())
    main = threading.main_thread().ident
    threading.Thread(target=_wait_for_end, args=(connection, main), daemon=True).start()


def _wait_for_end(connection: socket, main_thread: int) -> None:
    with connection, suppress(OSError):  # a reset is an end too
        while connection.recv(1):
            pass
    signal.pthread_kill(main_thread, signal.SIGINT)


class _InterruptOnce:
    """Takes a Ctrl-C that comes from the terminal and from `docker` for one: tidying must go on."""

    def __init__(self) -> None:
        self._last = -_SAME_KEY_S

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._last >= _SAME_KEY_S:
            self._last = now
            raise KeyboardInterrupt
