"""The line between two network namespaces: a process that carries packets late, or never; see `bad_link`.

It makes both namespaces and a TUN device in each, and holds them: the kernel takes them back when the last
process in them has ended, however that ended.

Usage: ``python -m bed.bad_line CONTROL LOSS DELAY_S BYTES_PER_S SEED``
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bed.received import ReceivedStreams

_CLONE_NEWNET = 0x40000000  # unshare(2); Python has it from 3.12 on
_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PACKET_BYTES = 2048
_BURST = 64
_CONGESTION_CONTROL = "cubic"  # that of nearly every server; another machine's own may be another
_WAITING_S = 1.0  # a packet that would wait longer for its turn is dropped, as routers do

ADDRESSES = {"device": "192.0.2.2", "server": "192.0.2.1"}
"""Of the two ends (RFC 5737: addresses that nobody has)."""


@dataclass(slots=True)
class Way:
    """One direction: packets that are under way, the one that is due next first."""

    source: int
    target: int
    delay_s: float
    bytes_per_s: float
    received: ReceivedStreams = field(default_factory=ReceivedStreams)
    _waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    _free_at: float = 0.0

    def take(self, packet: bytes, now: float) -> None:
        """Put a packet on its way."""
        self._free_at = max(self._free_at, now)
        if self._free_at - now > _WAITING_S:
            return
        if self.bytes_per_s:
            self._free_at += len(packet) / self.bytes_per_s
        self._waiting.append((self._free_at + self.delay_s, packet))

    def deliver(self, now: float) -> float | None:
        """Hand over what is due; return when the next one will be."""
        while self._waiting and self._waiting[0][0] <= now:
            packet = self._waiting.popleft()[1]
            self.received.note(packet)
            with suppress(BlockingIOError):  # the far end's queue is full: it is lost
                os.write(self.target, packet)
        return self._waiting[0][0] if self._waiting else None

    def lose_all(self) -> None:
        """Lose what is under way."""
        self._waiting.clear()


class Line:
    """Both ways, and whether they are there.

    Args:
        loss: the share of packets that get lost, each way.
        delay_s: of each packet that does not.
        bytes_per_s: of each way; 0: no limit.
        seed: which packets get lost.
    """

    def __init__(self, loss: float, delay_s: float, bytes_per_s: float, seed: int) -> None:
        self._loss = loss
        self._draw = random.Random(seed)
        self._is_cut = False
        tuns, self._namespaces = {}, {}
        for name, address in ADDRESSES.items():
            (peer,) = set(ADDRESSES.values()) - {address}
            tuns[name] = _enter_new_namespace(address, peer)
            self._namespaces[name] = os.open("/proc/self/ns/net", os.O_RDONLY)
        down = Way(tuns["server"], tuns["device"], delay_s, bytes_per_s)
        up = Way(tuns["device"], tuns["server"], delay_s, bytes_per_s)
        self._received = down.received
        self._ways = {way.source: way for way in (down, up)}

    def obey(self, command: str) -> object:
        """Do what was asked, and return the answer."""
        if command in {"cut", "join"}:
            self._is_cut = command == "cut"
            for way in self._ways.values():
                way.lose_all()
        return {
            "received": self._received.counts,
            "namespaces": {name: f"/proc/{os.getpid()}/fd/{fd}" for name, fd in self._namespaces.items()},
        }

    def serve(self, control: socket.socket) -> None:
        """Carry packets and obey, until the process is ended."""
        poll = select.poll()
        for source in (*self._ways, control.fileno()):
            poll.register(source, select.POLLIN)
        while True:
            now = time.monotonic()
            due = [moment for way in self._ways.values() if (moment := way.deliver(now)) is not None]
            pause_s = max(0.0, min(due) - time.monotonic()) if due else None
            for ready, _event in poll.poll(None if pause_s is None else 1000 * pause_s):
                if ready == control.fileno():
                    self._answer(control)
                else:
                    self._take(self._ways[ready])

    def _take(self, way: Way) -> None:
        for _packet in range(_BURST):
            try:
                packet = os.read(way.source, _PACKET_BYTES)
            except BlockingIOError:
                return
            if not self._is_cut and self._draw.random() >= self._loss:
                way.take(packet, time.monotonic())

    def _answer(self, control: socket.socket) -> None:
        connection, _address = control.accept()
        with connection:
            command = connection.recv(64).decode()
            connection.sendall(json.dumps(self.obey(command)).encode())


def _enter_new_namespace(address: str, peer: str) -> int:
    """Move this process to a namespace of its own; return the TUN device that is all there is in it."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", b"line", _IFF_TUN | _IFF_NO_PI))
    for command in (
        "link set lo up",
        f"address add {address} dev line",
        "link set line up mtu 1500 txqueuelen 1000",
        f"route add {peer} dev line congctl {_CONGESTION_CONTROL}",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    return tun


def main() -> None:
    """Make the line, and carry what comes."""
    path, loss, delay_s, bytes_per_s, seed = sys.argv[1:]
    line = Line(float(loss), float(delay_s), float(bytes_per_s), int(seed))
    with socket.socket(socket.AF_UNIX) as control:
        unfinished = Path(f"{path}.new")
        control.bind(str(unfinished))
        control.listen()
        unfinished.rename(path)
        line.serve(control)


if __name__ == "__main__":
    main()
