"""Options about the device's private key."""

from __future__ import annotations

import click

from binary_split.cli.options import FILE

device_key_option = click.option(
    "--device-key",
    type=FILE,
    metavar="F",
    help="This device's private key [env: BINARY_SPLIT_DEVICE_KEY_FILE].",
)

hybrid_option = click.option(
    "--hybrid", is_flag=True, help="ML-KEM-768 beside X25519: safe from a later quantum computer."
)
