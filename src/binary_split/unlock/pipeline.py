"""The unlock of one archive, from the first check to the last proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from binary_split.archive.cbc import CbcReader
from binary_split.engines import Engine
from binary_split.errors import ArchiveDamagedError, ArchiveFormatError
from binary_split.model import Fragment, ImagePins, ImageRef, Progress, ProgressSink, ignore_progress
from binary_split.oci.image_tar import ImageTar
from binary_split.transports.file import FileSource
from binary_split.unlock.checking import ExpectedImage, find_lacking, verify_images
from binary_split.unlock.plan import build_tar, plan_images
from binary_split.unlock.states import State, advance


class FragmentSource(Protocol):
    """Where the fragment comes from."""

    def authenticate(self) -> None:
        """Get ready to prove who asks: read the token."""

    def fetch(self) -> Fragment:
        """Return the fragment."""


@dataclass(frozen=True, slots=True)
class UnlockOrder:
    """What to unlock.

    Attributes:
        images: the images of the release.
        pins: their config digests; None: take what the archive says (``--allow-unauthenticated``).
    """

    archive: Path
    images: tuple[ImageRef, ...]
    pins: ImagePins | None


@dataclass(frozen=True, slots=True)
class UnlockResult:
    """What an unlock did.

    Attributes:
        images: everything that is proven to be there now.
        loaded: the references that were not there before.
        sent_bytes: length of the tar that the engine was sent.
    """

    images: tuple[ExpectedImage, ...]
    loaded: tuple[ImageRef, ...] = ()
    sent_bytes: int = 0


def unlock(
    order: UnlockOrder, engine: Engine, source: FragmentSource, *, report: ProgressSink = ignore_progress
) -> UnlockResult:
    """Make the engine have every image of a release; does nothing where it has them all.

    Raises:
        BinarySplitError: of the kind of whatever went wrong; the images that were there before still are.
    """
    enter = _Steps(report)
    try:
        return _unlock(order, engine, source, enter, report)
    except BaseException:
        enter(State.ERROR)
        raise


def _unlock(
    order: UnlockOrder, engine: Engine, source: FragmentSource, enter: _Steps, report: ProgressSink
) -> UnlockResult:
    enter(State.CHECKING)
    pins = order.pins or {}
    expected = tuple(ExpectedImage(ref, pins.get(ref)) for ref in order.images)
    if not find_lacking(engine, expected):
        enter(State.READY)
        return UnlockResult(expected)
    with FileSource(order.archive) as archive:
        enter(State.AUTHENTICATING)
        source.authenticate()
        enter(State.DOWNLOADING_KEY)
        fragment = source.fetch()
        enter(State.DECRYPTING)
        with _one_kind_of_damage():
            tar = ImageTar(CbcReader(archive, fragment))
            images = plan_images(tar, order.images, order.pins)
            expected = tuple(row for image in images for row in image.expected())
        lacking = {row.ref for row in find_lacking(engine, expected)}
        if not lacking:
            enter(State.READY)
            return UnlockResult(expected)
        enter(State.LOADING_IMAGES)
        payload = build_tar(tar, (image for image in images if lacking & set(image.layout.refs)))
        engine.load(_counted(payload.chunks(), payload.size, report))
    enter(State.VERIFYING)
    verify_images(engine, expected)
    enter(State.READY)
    return UnlockResult(expected, tuple(sorted(lacking)), payload.size)


class _Steps:
    """Says which state is entered, and that no state is entered out of order."""

    def __init__(self, report: ProgressSink) -> None:
        self._state = State.IDLE
        self._report: Callable[[Progress], None] = report

    def __call__(self, state: State) -> None:
        self._state = advance(self._state, state)
        self._report(Progress(state))


@contextmanager
def _one_kind_of_damage() -> Iterator[None]:
    """Say the same of every damage: which check failed would be an oracle for whoever alters archives."""
    try:
        yield
    except ArchiveFormatError as error:
        raise ArchiveDamagedError from error


def _counted(
    chunks: Iterable[bytes | memoryview], total: int, report: ProgressSink
) -> Iterator[bytes | memoryview]:
    done = 0
    with _one_kind_of_damage():
        for chunk in chunks:
            yield chunk
            done += len(chunk)
            report(Progress(State.LOADING_IMAGES, done, total))
