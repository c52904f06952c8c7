"""Whether an engine has the images that it should: by digest, and by name alone only where none is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from binary_split.engines import Engine, EngineImage, IdKind
from binary_split.errors import ImageMismatchError, ImageMissingError
from binary_split.model import Digest, ImageRef
from binary_split.oci.scan import scan_images


@dataclass(frozen=True, slots=True)
class ExpectedImage:
    """What is known of an image that should be there; None: not known.

    Attributes:
        manifest_digest: of the manifest under which it was, or would be, sent.
        blobs: its layers in the form in which they were, or would be, sent.
    """

    ref: ImageRef
    config_digest: Digest | None = None
    manifest_digest: Digest | None = None
    diff_ids: tuple[Digest, ...] | None = None
    blobs: tuple[Digest, ...] = ()

    def is_met_by(self, found: EngineImage, id_kind: IdKind) -> bool:
        """Whether an engine's image is this one. An id that cannot be compared proves nothing."""
        if self.diff_ids is not None and found.diff_ids != self.diff_ids:
            return False
        if self.config_digest is None:
            return True
        return found.id == (self.config_digest if id_kind is IdKind.CONFIG else self.manifest_digest)


def find_lacking(engine: Engine, expected: Iterable[ExpectedImage]) -> list[ExpectedImage]:
    """Return the images that the engine lacks or has in another form."""
    id_kind = engine.describe().id_kind
    return [image for image in expected if not _is_there(engine, image, id_kind)]


def read_config_digests(engine: Engine, refs: Iterable[ImageRef]) -> dict[ImageRef, Digest]:
    """Return images' config digests from their exported bytes, for an engine whose ids do not tell them.

    Raises:
        ImageIncompleteError: what the engine exports is not whole.
        EngineError: it cannot export.
    """
    refs = tuple(refs)
    scanned = scan_images(engine.save(refs)) if refs else None
    return {ref: image.config.digest for image in (scanned.images if scanned else ()) for ref in image.refs}


def verify_images(engine: Engine, expected: Iterable[ExpectedImage]) -> None:
    """Prove that every image is there.

    Raises:
        ImageMissingError: one is not there.
        ImageMismatchError: one is there but is another image.
    """
    id_kind = engine.describe().id_kind
    for image in expected:
        found = engine.find_image(image.ref)
        if found is None:
            raise ImageMissingError(f"{image.ref} is not in the engine after loading")
        if not image.is_met_by(found, id_kind):
            raise ImageMismatchError(f"{image.ref} in the engine is {found.id}, not the image of the release")


def _is_there(engine: Engine, expected: ExpectedImage, id_kind: IdKind) -> bool:
    found = engine.find_image(expected.ref)
    return found is not None and expected.is_met_by(found, id_kind)
