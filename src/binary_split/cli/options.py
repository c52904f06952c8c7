"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from binary_split.config import API_SERVICES, LIMITS, Settings
from binary_split.errors import ConfigError
from binary_split.files import read_secret
from binary_split.model import Digest, Fragment, ImageRef

FILE = click.Path(path_type=Path, allow_dash=True)

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

engine_option = click.option(
    "--engine",
    metavar="E",
    help="`docker` (default), `podman`, or `oci:DIR`: an OCI layout folder, which puts plaintext on disk.",
)


def parse_images(texts: Iterable[str], version: str) -> tuple[ImageRef, ...]:
    """Return the images of a release; a reference without a tag gets the version.

    Raises:
        ImageReferenceError: a text is no reference.
    """
    refs = (ImageRef.parse(text, default_tag=version) for text in texts or API_SERVICES)
    return tuple(dict.fromkeys(refs))


def parse_image_ids(texts: Iterable[str], version: str, settings: Settings) -> dict[ImageRef, Digest]:
    """Return the pins given by hand, or else those of this version in the configuration.

    Raises:
        ConfigError: a text is not ``REF=sha256:…``, or two contradict each other.
        ImageReferenceError: a reference or a digest is none.
    """
    pins: dict[ImageRef, Digest] = {}
    for text in texts:
        ref_text, equals, digest_text = text.partition("=")
        if not equals:
            raise ConfigError(f"--image-id {text!r} is not of the form REF=sha256:…")
        ref, digest = ImageRef.parse(ref_text, default_tag=version), Digest.parse(digest_text)
        if pins.setdefault(ref, digest) != digest:
            raise ConfigError(f"--image-id names {ref} twice, with different ids")
    return pins or {ref: digest for ref, digest in settings.image_ids.items() if ref.tag == version}


def choose_images(
    texts: Iterable[str], version: str, pins: Mapping[ImageRef, Digest]
) -> tuple[ImageRef, ...]:
    """Return the images of a release: those named, else those pinned, else the seven services."""
    texts = tuple(texts)
    return tuple(pins) if pins and not texts else parse_images(texts, version)


def read_fragment(path: Path) -> Fragment:
    """Read a fragment, byte-exact.

    Raises:
        SecretFileError: it cannot be read.
    """
    return Fragment(read_secret(path, what="fragment", max_bytes=LIMITS.fragment_bytes))


def format_size(size: float) -> str:
    """Return a size in words: ``2.1 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
