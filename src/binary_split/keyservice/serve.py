"""Run the key service: one listening socket, TLS 1.2 or newer, until SIGTERM."""

from __future__ import annotations

import gc
import ssl
from collections.abc import Callable

from binary_split.keyservice.app import create_app
from binary_split.keyservice.guards import Guards
from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.keyservice.store import Store
from binary_split.service import systemd
from binary_split.service.listener import listener_url, open_listener
from binary_split.service.log_lines import log_json_lines
from binary_split.service.metrics import metrics_listener
from binary_split.service.server import Server, build_server, run_server, stop_on_signals
from binary_split.service.tls import TlsFiles, tls_context


def serve_store(
    store: Store,
    *,
    listen: tuple[str, int],
    tls: TlsFiles | None,
    on_listening: Callable[[str], None],
    limits: ServiceLimits | None = None,
    metrics: tuple[str, int] | None = None,
) -> None:
    """Answer requests until SIGTERM or SIGINT; requests under way are finished first.

    Args:
        store: what to answer from; the caller closes it.
        listen: a name or an address of this machine, of which the first address is taken; and the port, of
            which 0 is a free one.
        tls: None is plain http, which a loopback address only may speak.
        on_listening: is told the service's URL, once connections are taken.
        limits: what each client may have.
        metrics: the address at which Prometheus is answered, None for nowhere.

    Raises:
        ConfigError: an address or the TLS files cannot be used, or plain http would leave the machine.
    """
    context = None if tls is None else tls_context(tls)
    guards = Guards.of(store, limits)
    with (
        open_listener(*listen, plain=context is None) as listener,
        metrics_listener(guards.metrics, metrics),
    ):
        log_json_lines()
        server = build_store_server(store, context, guards)
        stop_on_signals(server)
        store.start()
        # What is there by now stays: looking through it for garbage stopped every request for 50 ms.
        gc.collect()
        gc.freeze()
        on_listening(listener_url(listener, plain=context is None))
        systemd.notify(systemd.READY)
        run_server(server, listener, threads=guards.limits.threads)


def build_store_server(store: Store, context: ssl.SSLContext | None, guards: Guards | None = None) -> Server:
    """Return the server that answers from a store, not running yet."""
    guards = guards or Guards.of(store)
    limits = guards.limits
    return build_server(
        create_app(store, guards), context, head_s=limits.head_s, trusted_proxies=limits.trusted_proxies
    )
