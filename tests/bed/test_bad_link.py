"""The bad link is as bad as it was asked to be, counts what comes through, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bed.bad_link import BadLink, LineQuality
from bed.unavailable import Unavailable
from tests.lending import lent

ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
    end.bind(("192.0.2.1", 7))
    print("ready", flush=True)
    while True:
        end.sendto(*end.recvfrom(100))
"""
ASK = """
import socket, sys, time
times = []
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
    end.connect(("192.0.2.1", 7))
    for number in range(int(sys.argv[1])):
        end.send(number.to_bytes(4, "big") + repr(time.monotonic()).encode())
        time.sleep(0.0002)
    end.settimeout(float(sys.argv[2]))
    try:
        while True:
            sent = float(end.recv(100)[4:])
            times.append(time.monotonic() - sent)
    except TimeoutError:
        print(len(times), min(times, default=0))
"""
POUR = """
import socket
with socket.create_server(("192.0.2.1", 7)) as listener:
    print("ready", flush=True)
    with listener.accept()[0] as end:
        end.sendall(bytes(300_000))
"""
DRINK = """
import socket
with socket.create_connection(("192.0.2.1", 7), timeout=20) as end:
    while end.recv(65536):
        pass
"""


def run(link: BadLink, server: str, client: str, *arguments: object) -> str:
    """Run a server at the one end and a client at the other; return what the client says."""
    far, near = ([*enter(), sys.executable, "-c"] for enter in (link.entering_server, link.entering_device))
    with subprocess.Popen([*far, server], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            command = [*near, client, *map(str, arguments)]
            return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        finally:
            process.kill()


def test_it_loses_as_many_packets_as_it_should_and_none_comes_early(
    could_not_run: Callable[[Unavailable], None],
) -> None:
    with lent(lambda: BadLink(LineQuality(loss=0.2, delay_s=0.03, loss_up=0.2)), could_not_run) as link:
        count, fastest = map(float, run(link, ECHO, ASK, 250, 0.3).split())
    assert 120 < count < 200  # four of five, twice: 160, give or take eight
    assert fastest >= 0.06


def test_each_byte_of_a_stream_is_counted_once_however_often_it_is_sent(
    could_not_run: Callable[[Unavailable], None],
) -> None:
    with lent(lambda: BadLink(LineQuality(loss=0.05, delay_s=0.001, loss_up=0.05)), could_not_run) as link:
        run(link, POUR, DRINK)
        assert 300_000 <= link.received_bytes(7) <= 300_001  # and the end of the stream


def test_nothing_comes_through_while_it_is_cut(could_not_run: Callable[[Unavailable], None]) -> None:
    with lent(lambda: BadLink(LineQuality(loss=0, delay_s=0)), could_not_run) as link:
        link.cut()
        assert run(link, ECHO, ASK, 10, 0.1) == "0 0\n"
        link.join()
        assert run(link, ECHO, ASK, 10, 0.1).startswith("10 ")


def test_its_namespaces_end_with_it(could_not_run: Callable[[Unavailable], None]) -> None:
    with lent(lambda: BadLink(LineQuality(loss=0, delay_s=0)), could_not_run) as link:
        folder, namespace = link.folder, Path(link.entering_device()[1].partition("=")[2])
        own = namespace.readlink()
        assert own != Path("/proc/self/ns/net").readlink()
        assert own in _namespaces()
    assert not folder.exists()
    assert not namespace.exists()
    assert own not in _namespaces()


def test_a_machine_that_has_no_namespaces_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unavailable, match="only root"):
        BadLink(LineQuality(loss=0, delay_s=0)).start()


def _namespaces() -> set[Path]:
    """Return every network namespace that a process is in or has open."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        for link in (folder / "ns/net", *(folder / "fd").glob("*")):
            with suppress(OSError):
                found.add(link.readlink())
    return found
