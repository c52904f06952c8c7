"""Which images a release has, and which they must be, as people and settings say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from binary_split.config import API_SERVICES, Settings
from binary_split.errors import ConfigError
from binary_split.model import Digest, ImageRef


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
