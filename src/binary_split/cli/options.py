"""Options that several commands share, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from binary_split.config import LIMITS
from binary_split.files import read_secret
from binary_split.model import Fragment

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FILE = click.Path(path_type=Path, allow_dash=True)
"""A file that is read, or - for stdin."""
NAMED_FILE = click.Path(path_type=Path, dir_okay=False)
"""A file that must have a name: it is new, kept, or read again later."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")

version_option = click.option(
    "--version", "version", required=True, metavar="V", help="Version of the release: the tag of its images."
)

image_option = click.option(
    "--image",
    "images",
    multiple=True,
    metavar="REF",
    help="An image of the release, NAME[:TAG]; repeat for several. Default: the seven services.",
)

image_id_option = click.option(
    "--image-id",
    "image_ids",
    multiple=True,
    metavar="REF=sha256:…",
    help="The id that an image must have, as `seal` printed it; repeat for each image.",
)

fragment_file_option = click.option(
    "--fragment-file", type=FILE, metavar="F", help="File that holds the fragment, byte-exact; - for stdin."
)

key_service_option = click.option(
    "--key-service", metavar="URL", help="The key service [env: BINARY_SPLIT_KEY_SERVICE]."
)

ca_file_option = click.option(
    "--ca-file",
    type=NAMED_FILE,
    metavar="F",
    help="The key service's own CA, in PEM [env: BINARY_SPLIT_CA_FILE].",
)

engine_option = click.option(
    "--engine",
    metavar="E",
    help="`docker` (default), `podman`, or `oci:DIR`: an OCI layout folder, which puts plaintext on disk.",
)


def complete_place(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let a shell complete files where a URL may stand as well."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def read_fragment(path: Path) -> Fragment:
    """Read a fragment, byte-exact.

    Raises:
        SecretFileError: it cannot be read.
    """
    return Fragment(read_secret(path, what="fragment", max_bytes=LIMITS.fragment_bytes))
