"""A key service in this process, with limits of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from binary_split.keyservice.guards import Guards
from binary_split.keyservice.serve import build_store_server
from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.keyservice.store import Store
from binary_split.service.listener import listener_url, open_listener
from binary_split.service.server import run_server


@contextmanager
def running(store: Store, limits: ServiceLimits, *, port: int = 0) -> Iterator[tuple[str, Guards]]:
    """Run it in plain http on loopback until the block ends; give its URL and its guards."""
    guards = Guards.of(store, limits)
    listener = open_listener("127.0.0.1", port, plain=True)
    server = build_store_server(store, None, guards)
    thread = threading.Thread(target=run_server, args=(server, listener))
    thread.start()
    try:
        yield listener_url(listener, plain=True), guards
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()
    assert not thread.is_alive()
