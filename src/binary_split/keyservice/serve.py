"""Run the key service: one listening socket, TLS 1.2 or newer, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from binary_split.errors import ConfigError
from binary_split.keyservice.app import create_app
from binary_split.keyservice.listener import listener_url, open_listener
from binary_split.keyservice.store import Store

_HEAD_BYTES = 32 * 1024
_KEEP_ALIVE_S = 15
_STOP_S = 10
_TLS_HANDSHAKE_S = 10.0
_TLS_GOODBYE_S = 1.0


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
    store: Store, *, host: str, port: int, tls: TlsFiles | None, on_listening: Callable[[str], None]
) -> None:
    """Answer requests until SIGTERM or SIGINT; requests under way are finished first.

    Args:
        store: what to answer from; the caller closes it.
        host: a name or an address of this machine; the first address it has is taken.
        port: 0 takes a free one.
        tls: None is plain http, which a loopback address only may speak.
        on_listening: is told the service's URL, once connections are taken.

    Raises:
        ConfigError: the address or the TLS files cannot be used, or plain http would leave the machine.
    """
    context = None if tls is None else tls_context(tls)
    with open_listener(host, port, plain=context is None) as listener:
        server = build_server(store, context)
        _log_to_stderr()
        # uvicorn raises the signal again when it has stopped: that is a success, not a death by signal.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: sys.exit(0))
        store.start()
        on_listening(listener_url(listener, plain=context is None))
        run_server(server, listener)


def build_server(store: Store, context: ssl.SSLContext | None) -> uvicorn.Server:
    """Return the server, not running yet."""
    config = uvicorn.Config(
        create_app(store),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # it would log the query; the application writes its own line
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_S,
    )
    logging.getLogger("uvicorn.access").disabled = True  # whatever handlers others add later
    config.load()
    config.ssl = context  # ours: its versions are stated, and no passphrase is asked for on a terminal
    return uvicorn.Server(config)


def run_server(server: uvicorn.Server, listener: socket.socket) -> None:
    """Answer requests on a listening socket until the server is told to stop."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(server.serve(sockets=[listener]))


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that does not wait long for a TLS peer: an idle client would hold up a stop for 30 s."""

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = _TLS_HANDSHAKE_S
            options["ssl_shutdown_timeout"] = _TLS_GOODBYE_S
        return await super().create_server(*args, **options)


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


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start-up lines would repeat ours
