"""``binary-split release``: a fragment for a device without network, sealed to its key."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from binary_split.cli.options import json_option
from binary_split.cli.output import emit, emit_json, say
from binary_split.cli.qr import check_qr_target, draw_qr
from binary_split.cli.state_option import state_option
from binary_split.errors import ConfigError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--device", "device_id", metavar="D", required=True, help="The enrolled device.")
@click.option("--key", "key_id", metavar="K", required=True, help="The key, which must be granted to it.")
@click.option("-o", "--out", type=_FILE, required=True, metavar="F", help="New file for the sealed fragment.")
@click.option(
    "--qr",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="P",
    help="Also draw it as a QR code, into a .png or .svg file, or - for the terminal.",
)
@json_option
@state_option
def release(device_id: str, key_id: str, out: Path, qr: Path | None, as_json: bool, state: Path) -> None:
    """Seal a fragment to a device's key, in a file that is carried there.

    The file opens on that device alone (`unlock --sealed-fragment F`), as often as it likes and with no end.
    It costs a use of a limited grant, and is recorded in the audit.
    """
    from binary_split.config import LIMITS
    from binary_split.files import reserved_secret
    from binary_split.keyservice.sealing import seal_released
    from binary_split.keyservice.state import open_state
    from binary_split.sealedfragment import generate_nonce

    if qr is not None:
        check_qr_target(qr)
        if as_json and str(qr) == "-":
            raise ConfigError("stdout cannot take both the QR code and JSON", hint="Draw it into a file.")
    max_bytes = LIMITS.sealed_fragment_bytes + len("\n")
    with closing(open_state(state)) as store, reserved_secret(out, max_bytes=max_bytes) as deliver:
        released = store.offline.release(device_id, key_id)
        # Nobody asked, so the nonce is ours: docs/adr/0053-offline-release.md
        sealed = seal_released(released, generate_nonce())
        deliver(sealed.serialise() + b"\n")
    say(f"key {key_id} is sealed to device {device_id} in {out}")
    if qr is not None and (lines := draw_qr(sealed.serialise(), qr)) is not None:
        emit(lines)
    if as_json:
        emit_json(
            {
                "device": device_id,
                "key_id": key_id,
                "sealed_fragment_file": str(out),
                "qr_file": None if qr is None else str(qr),
                "audit_record": released.seq,
            }
        )
