"""A service is told to end at any moment, and ends well."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from starlette.applications import Starlette

from binary_split.service.server import build_server, run_server, stop_on_signals

NUMBERS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_before_the_server_runs_raises_nothing_and_ends_it_at_once(number: signal.Signals) -> None:
    server = build_server(Starlette(), None, head_s=1)
    stop_on_signals(server)
    signal.raise_signal(number)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        run_server(server, listener)
    assert server.started


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_while_it_runs_is_not_raised_again_when_it_has_stopped(number: signal.Signals) -> None:
    server = build_server(Starlette(), None, head_s=1)
    stop_on_signals(server)
    started = server.startup

    async def end_when_started(sockets: list[socket.socket] | None = None) -> None:
        await started(sockets)
        signal.raise_signal(number)

    server.startup = end_when_started  # type: ignore[method-assign]
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        run_server(server, listener)
    assert server.should_exit
