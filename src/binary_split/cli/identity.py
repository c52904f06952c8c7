"""``binary-split identity``."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from binary_split.archive.age.plugin_identity import (
    FragmentFile,
    FragmentLocation,
    ServedFragment,
    identity_file_text,
)
from binary_split.cli.options import NAMED_FILE
from binary_split.cli.output import emit, say
from binary_split.errors import ConfigError
from binary_split.files import write_atomically
from binary_split.keyclient.address import fragment_path, parse_address


@click.command()
@click.option("--key-service", metavar="URL", help="The key service that releases the fragment.")
@click.option("--token-file", type=NAMED_FILE, metavar="T", help="File that will hold the token.")
@click.option("--ca-file", type=NAMED_FILE, metavar="F", help="The key service's own CA, in PEM.")
@click.option("--fragment-file", type=NAMED_FILE, metavar="F", help="File that will hold the fragment.")
@click.option("--key-id", metavar="ID", help="Which fragment; default: the token's own, or any that opens.")
@click.option("-o", "--output", type=NAMED_FILE, metavar="FILE", help="Write a new file instead of stdout.")
def identity(
    key_service: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    fragment_file: Path | None,
    key_id: str | None,
    output: Path | None,
) -> None:
    """Print an identity file with which stock `age` opens archives: `age -d -i FILE ARCHIVE`.

    It names a key service and a token's file, or a fragment's file, and holds no secret itself. The files
    need not exist yet. `age` needs `age-plugin-binary-split` on its PATH.
    """
    if fragment_file is not None:
        if key_service or token_file or ca_file:
            raise ConfigError("--fragment-file stands alone: the key service is not asked then")
        location: FragmentLocation = FragmentFile(_absolute(fragment_file), key_id)
    elif key_service and token_file:
        parse_address(key_service, fragment_path())
        ca = _absolute(ca_file) if ca_file else None
        location = ServedFragment(key_service, _absolute(token_file), key_id, ca)
    else:
        raise ConfigError("give --key-service and --token-file, or --fragment-file")
    text = identity_file_text(location, created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    if output is None:
        emit(text.rstrip("\n"))
        return
    with write_atomically(output, overwrite=False) as file:
        file.write(text.encode())
    say(f"identity written to {output}")


def _absolute(path: Path) -> str:
    """Return the path from the root: `age` may be started in any folder."""
    if str(path) == "-":
        raise ConfigError("an identity names a file, and - is none")
    return os.path.abspath(path)  # noqa: PTH100 - pathlib's keeps `..`
