"""``binary-split keygen``: make the publisher's key, which signs release statements."""

from __future__ import annotations

from pathlib import Path

import click

from binary_split.cli.options import FILE, NAMED_FILE, json_option
from binary_split.cli.output import emit, emit_json, say


@click.command()
@click.option(
    "-o",
    "--out",
    "out",
    required=True,
    metavar="KEY",
    type=NAMED_FILE,
    help="Where the private key goes (mode 0600); the public key goes to KEY.pub.",
)
@click.option(
    "--passphrase-file",
    type=FILE,
    metavar="F",
    help="Encrypt the private key with the one line of text in this file; - for stdin.",
)
@json_option
def keygen(out: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Make a publisher's key, which signs releases, and print its key id.

    Neither file is ever overwritten. Devices get KEY.pub and trust what KEY signs.
    """
    from binary_split.config import LIMITS
    from binary_split.files import read_secret, secret_output, write_atomically
    from binary_split.oci.publisher_key import PrivateKey, parse_passphrase

    passphrase = None
    if passphrase_file is not None:
        max_bytes = LIMITS.passphrase_bytes + len("\r\n")
        passphrase = parse_passphrase(read_secret(passphrase_file, what="passphrase", max_bytes=max_bytes))
    key = PrivateKey.generate()
    public_path = out.with_name(f"{out.name}.pub")
    # the block takes the private key back if the public one cannot be written
    with secret_output(out) as deliver:
        deliver(key.serialise(passphrase))
        with write_atomically(public_path, mode=0o644, overwrite=False) as file:
            file.write(key.public_key.serialise())
    if as_json:
        emit_json(
            {
                "key_id": key.key_id,
                "key_file": str(out),
                "public_key_file": str(public_path),
                "is_encrypted": passphrase is not None,
            }
        )
        return
    say(f"private key: {out} (keep it, back it up, show it to nobody)")
    say(f"public key:  {public_path} (for --trusted-key on each device)")
    emit(key.key_id)
