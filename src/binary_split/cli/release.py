"""``binary-split release``: a fragment for a device without network, sealed to its key."""

from __future__ import annotations

from pathlib import Path

import click

from binary_split.cli.desks import Place, place_options
from binary_split.cli.options import NAMED_FILE, json_option
from binary_split.cli.output import emit, emit_json, say
from binary_split.cli.qr import check_qr_target, draw_qr
from binary_split.errors import ConfigError
from binary_split.keyservice.admin import acts


@click.command()
@click.option("--device", "device_id", metavar="D", required=True, help="The enrolled device.")
@click.option("--key", "key_id", metavar="K", required=True, help="The key, which must be granted to it.")
@click.option(
    "-o", "--out", type=NAMED_FILE, required=True, metavar="F", help="New file for the sealed fragment."
)
@click.option(
    "--qr",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="P",
    help="Also draw it as a QR code, into a .png or .svg file, or - for the terminal.",
)
@json_option
@place_options
def release(device_id: str, key_id: str, out: Path, qr: Path | None, as_json: bool, place: Place) -> None:
    """Seal a fragment to a device's key, in a file that is carried there.

    The file opens on that device alone (`unlock --sealed-fragment F`), as often as it likes and with no end.
    It costs a use of a limited grant, and is recorded in the audit.
    """
    from binary_split.config import LIMITS
    from binary_split.files import reserved_secret

    if qr is not None:
        check_qr_target(qr)
        if as_json and str(qr) == "-":
            raise ConfigError("stdout cannot take both the QR code and JSON", hint="Draw it into a file.")
    max_bytes = LIMITS.sealed_fragment_bytes + len("\n")
    with place.open() as desk, reserved_secret(out, max_bytes=max_bytes) as deliver:
        released = desk.do(acts.RELEASE_OFFLINE, device_id=device_id, key_id=key_id)
        sealed = released["sealed_fragment"].encode()
        deliver(sealed + b"\n")
    say(f"key {key_id} is sealed to device {device_id} in {out}")
    if qr is not None and (lines := draw_qr(sealed, qr)) is not None:
        emit(lines)
    if as_json:
        emit_json(
            {
                "device": device_id,
                "key_id": key_id,
                "sealed_fragment_file": str(out),
                "qr_file": None if qr is None else str(qr),
                "audit_record": released["audit_record"],
            }
        )
