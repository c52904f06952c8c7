"""``binary-split agent``: run the device's service."""

from __future__ import annotations

from pathlib import Path

import click

from binary_split.cli.options import NAMED_FILE
from binary_split.cli.output import say
from binary_split.errors import ConfigError


@click.group()
def agent() -> None:
    """Run the agent, which unlocks releases on this device over HTTP."""


@agent.command()
@click.option(
    "--unix",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Listen on this unix socket; its owner and its group may come in, without a token.",
)
@click.option("--host", help="Address to listen on, if not on a unix socket. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one. [default: 8444]")
@click.option("--tls-cert", metavar="F", type=NAMED_FILE, help="Certificate chain, PEM.")
@click.option("--tls-key", metavar="F", type=NAMED_FILE, help="The certificate's private key, PEM.")
@click.option(
    "--client-ca",
    metavar="F",
    type=NAMED_FILE,
    help="Let in whoever has a certificate of this authority, PEM, without a token.",
)
@click.option(
    "--token-file",
    metavar="F",
    type=click.Path(path_type=Path),
    help="File (mode 0600) that holds the token which opens the agent itself.",
)
@click.option("--metrics", metavar="HOST:PORT", help="Answer Prometheus there, in plain http.")
def serve(
    unix: Path | None,
    host: str | None,
    port: int | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    token_file: Path | None,
    metrics: str | None,
) -> None:
    """Answer on a unix socket, or on an address, until SIGTERM.

    Without --tls-cert and --tls-key it speaks plain http, on a loopback address only. What may be unlocked is
    said by the table [agent] of the configuration file (see docs/agent.md).
    """
    from binary_split.agent.serve import Place, serve_agent
    from binary_split.config import load_settings
    from binary_split.service.metrics import parse_address
    from binary_split.service.tls import tls_files

    tls = tls_files(tls_cert, tls_key)
    if unix is not None and any(option is not None for option in (host, port, tls, client_ca)):
        raise ConfigError("--unix stands alone: no --host, --port or TLS with it")
    place = Place(
        unix=unix,
        host=host or "127.0.0.1",
        port=8444 if port is None else port,
        tls=tls,
        client_ca=client_ca,
        token_file=token_file,
        metrics=None if metrics is None else parse_address(metrics),
    )
    serve_agent(load_settings(), place, on_listening=lambda url: say(f"agent listening on {url}"))
