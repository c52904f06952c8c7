"""From an archive to the order to unlock it: what says which images must be there afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from binary_split.archive.detect import ArchiveFormat, read_format
from binary_split.config import Settings
from binary_split.errors import ArchiveUnauthenticatedError, ConfigError
from binary_split.model import Digest, ImagePins, ImageRef
from binary_split.transports import ArchiveLocation, is_there, open_source
from binary_split.unlock.opening import Trust, pin_release, read_beside
from binary_split.unlock.order import UnlockOrder
from binary_split.unlock.pins import choose_images, parse_image_ids


def make_order(
    archive: ArchiveLocation,
    version: str | None,
    *,
    settings: Settings,
    trust: Trust,
    images: Sequence[str] = (),
    image_ids: Sequence[str] = (),
    allow_unauthenticated: bool = False,
) -> UnlockOrder:
    """Say what must be there afterwards: by the archive's own statement, or else by what was pinned.

    An archive that is not there may not be needed, if a version says what must be there.

    Args:
        archive: the archive.
        version: which it must be; a ``cbc`` archive does not say it itself.
        settings: give the pins where there are no others.
        trust: whose statements are believed.
        images: of a ``cbc`` archive, by name; none: those that are pinned, or else the seven services.
        image_ids: pins of a ``cbc`` archive, ``REF=sha256:…``.
        allow_unauthenticated: take the word of a ``cbc`` archive that nothing pins.

    Raises:
        ArchiveUnauthenticatedError: nothing says what a ``cbc`` archive must hold.
        ArchiveError: the archive, or the statement beside it, is not usable.
        ConfigError: what is said does not fit the archive, or no version is said.
    """
    if (version is None or is_there(archive)) and _is_age(archive):
        if images or image_ids:
            raise ConfigError(
                "an age archive says itself which images it holds", hint="Leave out --image and --image-id."
            )
        return UnlockOrder(archive, (), None, version, trust)
    if version is None:
        raise ConfigError("a cbc archive does not say its version", hint="Give it with --version.")
    pins, beside = parse_image_ids(image_ids, version, settings), None
    if not pins and (beside := read_beside(archive, version, trust)) is not None:
        pins = pin_release(beside.statement, version=version)
    if not (pins or allow_unauthenticated or is_there(archive)):
        _is_age(archive)  # it is needed, for nothing else says what must be there: this says why it is not
    refs = choose_images(images, version, pins)
    return UnlockOrder(
        archive,
        refs,
        _choose_pins(refs, pins, allow_unauthenticated=allow_unauthenticated),
        version,
        trust,
        beside,
    )


def _is_age(archive: ArchiveLocation) -> bool:
    """Whether the archive is an `age` one."""
    with open_source(archive) as source:
        return read_format(source) is ArchiveFormat.AGE


def _choose_pins(
    refs: Sequence[ImageRef], pins: Mapping[ImageRef, Digest], *, allow_unauthenticated: bool
) -> ImagePins | None:
    """Return the pins, which must cover every image, or None where the person takes the risk."""
    unpinned = [str(ref) for ref in refs if ref not in pins]
    if not unpinned:
        return pins
    if not allow_unauthenticated:
        raise ArchiveUnauthenticatedError(
            f"a cbc archive proves nothing of its own, and no image id is given for {', '.join(unpinned)}"
        )
    return pins or None
