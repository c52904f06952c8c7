"""Proving an installed release: that the engine still has every image, and on request every byte of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from binary_split.engines import Engine
from binary_split.errors import (
    ArchiveFormatError,
    ImageIncompleteError,
    ImageMismatchError,
    ImageMissingError,
)
from binary_split.model import Progress, ProgressSink, ignore_progress
from binary_split.oci.scan import scan_images
from binary_split.unlock.checking import ExpectedImage, verify_images
from binary_split.unlock.opening import Trust
from binary_split.unlock.records import InstalledRelease
from binary_split.unlock.states import State


def choose_installed(
    releases: Sequence[InstalledRelease], *, product: str | None, version: str | None, trust: Trust
) -> InstalledRelease:
    """Return the release that was installed last, of those that are named, if its statement is believed.

    Args:
        releases: of the journal, oldest first.
        product: of which it must be; None: any.
        version: which it must be; None: any.
        trust: whose statements are believed; a release that pins alone defined has none.

    Raises:
        ImageMissingError: no such release was installed.
        ArchiveError: its statement is not believed.
    """
    found = [
        release
        for release in releases
        if product in {None, release.product} and version in {None, release.version}
    ]
    if not found:
        raise ImageMissingError("the journal knows of no such release in this engine")
    if found[-1].envelope is not None:
        trust.verify_possible()
        trust.open_envelope(found[-1].envelope)
    return found[-1]


def prove_installed(
    engine: Engine, release: InstalledRelease, *, deep: bool, report: ProgressSink = ignore_progress
) -> None:
    """Prove that an engine has a release.

    Args:
        engine: where it should be.
        release: what should be there.
        deep: have the engine export the images, and digest each of their layers.
        report: is told of progress.

    Raises:
        ImageError: an image is missing, another one, or damaged.
    """
    report(Progress(State.VERIFYING))
    verify_images(engine, release.images)
    for image in release.images:
        engine.verify_unpacked(image.ref)
    if deep:
        _prove_layers(engine, release.images, report)


def _prove_layers(engine: Engine, images: Sequence[ExpectedImage], report: ProgressSink) -> None:
    done = 0

    def counted() -> Iterator[bytes | memoryview]:
        nonlocal done
        for chunk in engine.save(image.ref for image in images):
            yield chunk
            done += len(chunk)
            report(Progress(State.VERIFYING, done))

    try:
        scanned = scan_images(counted())  # each layer by its diff id, those by the config
    except ArchiveFormatError as error:
        raise ImageIncompleteError(f"what the engine exports is not whole: {error}") from error
    found = {ref: image.config for image in scanned.images for ref in image.refs}
    for image in images:
        config = found.get(image.ref)
        if config is None:
            raise ImageIncompleteError(f"the engine does not export {image.ref}")
        if image.config_digest not in {None, config.digest}:
            raise ImageMismatchError(
                f"{image.ref} in the engine is {config.digest}, not {image.config_digest}"
            )
