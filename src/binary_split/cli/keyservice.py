"""``binary-split keyservice``: set up and run the key service."""

from __future__ import annotations

from pathlib import Path

import click

from binary_split.cli.keyservice_upkeep import accept_restore, backup, restore, rotate_kek
from binary_split.cli.options import NAMED_FILE
from binary_split.cli.output import say
from binary_split.cli.state_option import state_option
from binary_split.errors import ConfigError

_RATE = click.IntRange(0, 1_000_000)


@click.group()
def keyservice() -> None:
    """Set up and run the key service."""


for command in (rotate_kek, backup, restore, accept_restore):
    keyservice.add_command(command)


@keyservice.command()
@click.option(
    "--database-file",
    metavar="F",
    type=NAMED_FILE,
    help="File that holds the URL of an empty PostgreSQL database; without it, SQLite.",
)
@click.option(
    "--transit-url", metavar="URL", help="Wrap the key with the transit engine of an OpenBao or Vault."
)
@click.option("--transit-key", metavar="NAME", help="Name of the engine's key.")
@click.option("--transit-mount", metavar="NAME", default="transit", show_default=True, help="Its mount.")
@click.option("--transit-ca", metavar="F", type=NAMED_FILE, help="Whom to trust in its TLS.")
@click.option("--transit-token", metavar="F", type=NAMED_FILE, help="File with a token; it is copied.")
@state_option
def init(
    database_file: Path | None,
    transit_url: str | None,
    transit_key: str | None,
    transit_mount: str,
    transit_ca: Path | None,
    transit_token: Path | None,
    state: Path,
) -> None:
    """Make the state folder, its database, its key-encryption key and its audit key.

    Refuses if one of them is there already.
    """
    from binary_split.files import read_secret
    from binary_split.keyservice.kek_files import KEK_NAME
    from binary_split.keyservice.kek_making import TransitAccess
    from binary_split.keyservice.state import create_state
    from binary_split.keyservice.transit import TransitKey

    url = None
    if database_file is not None:
        url = read_secret(database_file, what="database URL", max_bytes=4096).decode(errors="replace").strip()
    transit = None
    if transit_url is not None or transit_key is not None or transit_token is not None:
        if transit_url is None or transit_key is None or transit_token is None:
            raise ConfigError("--transit-url, --transit-key and --transit-token are needed together")
        ca = None if transit_ca is None else str(transit_ca.absolute())
        token = read_secret(transit_token, what="transit token", max_bytes=8192).decode("ascii", "replace")
        transit = TransitAccess(TransitKey(transit_url, transit_key, transit_mount, ca), token.strip())
    create_state(state, database_url=url, transit=transit)
    say(f"key service initialised in {state}")
    say(f"back up {state / KEK_NAME} apart from the database: without it no fragment opens")


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
@click.option("--tls-cert", metavar="F", type=NAMED_FILE, help="Certificate chain, PEM.")
@click.option("--tls-key", metavar="F", type=NAMED_FILE, help="The certificate's private key, PEM.")
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
    from binary_split.keyservice.serve import serve_store
    from binary_split.keyservice.service_limits import ServiceLimits
    from binary_split.keyservice.state import open_state
    from binary_split.service.metrics import parse_address
    from binary_split.service.tls import TlsFiles, tls_files

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
