"""``binary-split keyservice``: set up and run the key service."""

from __future__ import annotations

from pathlib import Path

import click

from binary_split.cli.output import say

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
def serve(state: Path, host: str, port: int, tls_cert: Path | None, tls_key: Path | None) -> None:
    """Answer devices over HTTPS until SIGTERM.

    Without --tls-cert and --tls-key it speaks plain http, on a loopback address only.
    """
    from binary_split.keyservice.serve import TlsFiles, serve_store, tls_files
    from binary_split.keyservice.state import open_state

    tls: TlsFiles | None = tls_files(tls_cert, tls_key)
    store = open_state(state)
    try:
        serve_store(
            store,
            host=host,
            port=port,
            tls=tls,
            on_listening=lambda url: say(f"key service listening on {url}"),
        )
    finally:
        store.close()
