"""Run the key service: one listening socket, TLS 1.2 or newer, until SIGTERM."""

from __future__ import annotations

import gc
import signal
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from binary_split.errors import ConfigError
from binary_split.keyservice import systemd
from binary_split.keyservice.guards import Guards
from binary_split.keyservice.listener import listener_url, open_listener
from binary_split.keyservice.log_lines import log_json_lines
from binary_split.keyservice.metrics import metrics_listener
from binary_split.keyservice.server import build_server, run_server
from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.keyservice.store import Store


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The service's certificate chain and its private key, both PEM."""

    certificate: Path
    key: Path


def tls_files(certificate: Path | None, key: Path | None) -> TlsFiles | None:
    """Return both files, or None where neither is given.

    Raises:
        ConfigError: only one of them is given.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("a certificate and its private key are needed together")
    return TlsFiles(certificate, key)


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
        server = build_server(store, context, guards)
        # uvicorn raises the signal again when it has stopped: that is a success, not a death by signal.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: sys.exit(0))
        store.start()
        # What is there by now stays: looking through it for garbage stopped every request for 50 ms.
        gc.collect()
        gc.freeze()
        on_listening(listener_url(listener, plain=context is None))
        systemd.notify(systemd.READY)
        run_server(server, listener, threads=guards.limits.threads)


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the server's TLS context: version 1.2 or newer.

    Raises:
        ConfigError: the files cannot be read, or are no certificate with its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in (files.certificate, files.key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    try:
        context.load_cert_chain(files.certificate, files.key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f"{files.certificate} and {files.key} are no certificate with its unencrypted private key, in PEM"
        ) from error
    return context
