"""A network between a device and a server that is bad in a known way: it loses packets, is slow, gets cut.

Two network namespaces with a TUN device each, and a process between them (`bad_line`) that carries what one
sends to the other, or does not. So it is the kernel's own TCP that must cope, and no module for bad networks
need be in the kernel. Nothing outside the namespaces is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from bed import bad_line, processes
from bed.private import PrivateServer
from bed.unavailable import Unavailable

_TUN = Path("/dev/net/tun")
_ANSWER_BYTES = 64 * 1024


class BadLink(PrivateServer):
    """Joins two namespaces until it is left.

    Args:
        loss: the share of packets that get lost, of each way.
        delay_s: of each packet, each way; a question and its answer take twice as long.
        bytes_per_s: that each way carries; 0: as many as there are.
        seed: which packets get lost.
    """

    start_timeout_s = 10
    stop_timeout_s = 5

    DEVICE = bad_line.ADDRESSES["device"]
    SERVER = bad_line.ADDRESSES["server"]

    def __init__(self, *, loss: float, delay_s: float, bytes_per_s: float = 0, seed: int = 1) -> None:
        super().__init__()
        self._numbers = (loss, delay_s, bytes_per_s, seed)

    def start(self) -> None:
        """Make the namespaces and join them.

        Raises:
            Unavailable: this machine does not let us; nothing is left behind.
        """
        if os.geteuid() != 0:
            raise Unavailable("network namespaces", "only root can make them")
        if not _TUN.exists():
            raise Unavailable("network namespaces", f"there is no {_TUN}")
        for program in ("ip", "nsenter"):
            if shutil.which(program) is None:
                raise Unavailable("network namespaces", f"{program} is not installed")
        control = self._make_folder("bed-link-") / "control"
        command = [sys.executable, "-m", bad_line.__name__, str(control), *map(str, self._numbers)]
        if not self._launch(
            [*processes.ending_with_parent(), *command], control.exists, cwd=Path(__file__).parents[1]
        ):
            reason = self._last_words()
            self.stop()
            raise Unavailable("network namespaces", f"cannot be joined: {reason}")

    def cut(self) -> None:
        """Lose every packet from now on, and those under way."""
        self._ask("cut")

    def join(self) -> None:
        """Carry packets again."""
        self._ask("join")

    def received_bytes(self, port: int) -> int:
        """Return how much came to the device from a port of the server: of TCP's streams, each byte once."""
        return int(self._ask("look")["received"].get(str(port), 0))

    def entering_device(self) -> list[str]:
        """Return a command prefix that runs a program at the device's end; its process id stays."""
        return self._entering("device")

    def entering_server(self) -> list[str]:
        """Return a command prefix that runs a program at the server's end; its process id stays."""
        return self._entering("server")

    def _entering(self, end: str) -> list[str]:
        return ["nsenter", f"--net={self._ask('look')['namespaces'][end]}", "--"]

    def _ask(self, command: str) -> Any:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(self.start_timeout_s)
            connection.connect(str(self.folder / "control"))
            connection.sendall(command.encode())
            answer = b""
            while part := connection.recv(_ANSWER_BYTES):
                answer += part
        return json.loads(answer)
