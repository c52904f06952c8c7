"""``binary-split device``: the key pair of a device, to which fragments are sealed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from binary_split.cli.device_keys import hybrid_option
from binary_split.cli.options import NAMED_FILE, json_option
from binary_split.cli.output import emit, emit_json, say
from binary_split.config import load_settings
from binary_split.unlock.device_key import locate_device_key, make_device_key, read_device_key

if TYPE_CHECKING:
    from binary_split.sealedfragment import PrivateKey


@click.group()
def device() -> None:
    """Make and show this device's key, to which fragments are sealed."""


@device.command()
@click.option(
    "-o",
    "--out",
    type=NAMED_FILE,
    metavar="FILE",
    help="Where the private key goes (mode 0600); default: BINARY_SPLIT_DEVICE_KEY_FILE.",
)
@hybrid_option
@json_option
def init(out: Path | None, hybrid: bool, as_json: bool) -> None:
    """Make this device's key in a new file and print its public half.

    A file that exists is never overwritten. `enroll` gives the public key to the key service, which from
    then on seals every fragment to it.
    """
    path = locate_device_key(out, load_settings())
    key = make_device_key(path, hybrid=hybrid)
    say(f"device key: {path} (it stays on this device; without it no sealed fragment opens)")
    _print(key, path, as_json)


@device.command()
@click.argument("file", type=NAMED_FILE, required=False)
@json_option
def show(file: Path | None, as_json: bool) -> None:
    """Print the public key of the device key in FILE, and its fingerprint.

    Default: the file that BINARY_SPLIT_DEVICE_KEY_FILE names.
    """
    settings = load_settings()
    path = locate_device_key(file, settings)
    _print(read_device_key(path, settings), path, as_json)


def _print(key: PrivateKey, path: Path, as_json: bool) -> None:
    from binary_split.sealedfragment import PublicKey

    public = PublicKey.of(key)
    if as_json:
        emit_json(
            {
                "kem": public.kem,
                "public_key": public.serialise(),
                "fingerprint": public.fingerprint,
                "device_key_file": str(path),
            }
        )
        return
    say(f"fingerprint: {public.fingerprint}")
    emit(public.serialise())
