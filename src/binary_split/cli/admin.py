"""``binary-split admin``: the vendor's side of the key service, beside the database or over the network."""

from __future__ import annotations

import click

from binary_split.cli.lazy import LazyGroup

_COMMANDS = {
    "key": ("binary_split.cli.keys", "key", "Keys and their fragments; the same as `binary-split key`."),
    "device": ("binary_split.cli.admin_devices", "device", "Register, disable and group devices."),
    "grant": ("binary_split.cli.admin_grants", "grant", "Say which device or group may have which key."),
    "token": ("binary_split.cli.tokens", "token", "Tokens; the same as `binary-split token`."),
    "enrolment": ("binary_split.cli.admin_enrolment", "enrolment", "Codes by which devices enrol."),
    "audit": ("binary_split.cli.admin_audit", "audit", "What happened, and whether the record holds."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def admin() -> None:
    """Administrate the key service, in its state folder or over the network.

    Each command works on the database that --state names, or with --key-service URL --token-file T at a key
    service elsewhere, as the bearer of a token with the scope `admin`.
    """
