"""A proxy before a real server, on loopback, that breaks connections off after so many bytes."""

from __future__ import annotations

import random
import select
import socket

from bed.fault_server import FaultServer, Peer

_TIMEOUT_S = 5.0
_LOOK_S = 0.2
_PART_BYTES = 16 * 1024


class BreakingProxy(FaultServer):
    """Carries bytes between clients and a port of loopback; use it as a context manager.

    Args:
        port: of the server.
        seed: after how many bytes each connection breaks.
        mean_bytes: how many that are in the middle, both ways together.

    Attributes:
        carried: bytes both ways, of all connections.
    """

    def __init__(self, port: int, *, seed: int, mean_bytes: int) -> None:
        super().__init__(self._carry)
        self._target = port
        self._mean_bytes = mean_bytes
        self._draw = random.Random(seed)
        self.carried = 0

    def _carry(self, peer: Peer) -> None:
        left = int(self._draw.expovariate(1 / self._mean_bytes))
        with socket.create_connection(("127.0.0.1", self._target), timeout=_TIMEOUT_S) as server:
            while left > 0 and not self.stopping.is_set():
                ready, _, _ = select.select([peer.fileno(), server.fileno()], [], [], _LOOK_S)
                if peer.fileno() in ready:
                    request = peer.receive()
                    if not request:
                        return
                    server.sendall(request)
                    left -= len(request)
                    self.carried += len(request)
                if server.fileno() in ready:
                    part = server.recv(min(left, _PART_BYTES))
                    if not part:
                        return
                    peer.send(part)
                    left -= len(part)
                    self.carried += len(part)
        peer.reset()
