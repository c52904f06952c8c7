"""The bed's servers for fixtures: one is started, lent out and stopped, or it is said why it cannot run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from bed.private import PrivateServer
from bed.unavailable import Unavailable

_Server = TypeVar("_Server", bound=PrivateServer)


@contextmanager
def lent(make: Callable[[], _Server], could_not_run: Callable[[Unavailable], None]) -> Iterator[_Server]:
    """Give a running server until the block ends."""
    with ExitStack() as stack:
        try:
            server = make()
            stack.enter_context(server)
        except Unavailable as missing:
            could_not_run(missing)
            raise
        yield server
