"""``binary-split keyservice``: set up and run the key service."""

from __future__ import annotations

from pathlib import Path

import click

from binary_split.cli.output import say

_RATE = click.IntRange(0, 1_000_000)
_EXISTING_FILE = click.Path(path_type=Path, dir_okay=False)

state_option = click.option(
    "--state",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="BINARY_SPLIT_KEYSERVICE_STATE",
    default=Path("/var/lib/binary-split/keyservice"),
    show_default=True,
    show_envvar=True,
    help="The key service's state folder.",
)


@click.group()
def keyservice() -> None:
    """Set up and run the key service."""


@keyservice.command()
@state_option
def init(state: Path) -> None:
    """Make the state folder, its database and its key-encryption key.

    Refuses if either is there already.
    """
    from binary_split.keyservice.state import KEY_ENCRYPTION_KEY_NAME, create_state

    create_state(state)
    say(f"key service initialised in {state}")
    say(f"back up {state / KEY_ENCRYPTION_KEY_NAME} apart from the database: without it no fragment opens")


@keyservice.command()
@state_option
def migrate(state: Path) -> None:
    """Bring the database to this version's schema. Stop the service and back up first."""
    from binary_split.keyservice.state import migrate_state

    migrate_state(state)
    say("the database has the newest schema")


@keyservice.command()
@state_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8443,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--tls-cert", metavar="F", type=_EXISTING_FILE, help="Certificate chain, PEM.")
@click.option("--tls-key", metavar="F", type=_EXISTING_FILE, help="The certificate's private key, PEM.")
@click.option(
    "--trusted-proxy", metavar="NET", multiple=True, help="Believe its X-Forwarded-For; repeatable."
)
@click.option("--metrics", metavar="HOST:PORT", help="Answer Prometheus there, in plain http.")
@click.option(
    "--token-rate", type=_RATE, default=600, show_default=True, help="Requests a minute with one token."
)
@click.option(
    "--device-rate", type=_RATE, default=60, show_default=True, help="Requests a minute by one device."
)
@click.option(
    "--failure-rate",
    type=_RATE,
    default=60,
    show_default=True,
    help="Failures a minute that an address is told of.",
)
def serve(
    state: Path,
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    trusted_proxy: tuple[str, ...],
    metrics: str | None,
    token_rate: int,
    device_rate: int,
    failure_rate: int,
) -> None:
    """Answer devices over HTTPS until SIGTERM.

    Without --tls-cert and --tls-key it speaks plain http, on a loopback address only. A rate of 0 sets no
    bound; each process counts for itself.
    """
    from binary_split.keyservice.metrics import parse_address
    from binary_split.keyservice.serve import TlsFiles, serve_store, tls_files
    from binary_split.keyservice.service_limits import ServiceLimits
    from binary_split.keyservice.state import open_state

    tls: TlsFiles | None = tls_files(tls_cert, tls_key)
    limits = ServiceLimits(
        token_rate=token_rate,
        device_rate=device_rate,
        failure_rate=failure_rate,
        trusted_proxies=trusted_proxy,
    )
    metrics_address = None if metrics is None else parse_address(metrics)
    store = open_state(state)
    try:
        serve_store(
            store,
            listen=(host, port),
            tls=tls,
            on_listening=lambda url: say(f"key service listening on {url}"),
            limits=limits,
            metrics=metrics_address,
        )
    finally:
        store.close()
