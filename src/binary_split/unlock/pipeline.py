"""The unlock of one archive, from the first check to the last proof."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from binary_split.archive.age import FragmentIdentity
from binary_split.archive.detect import ArchiveFormat, read_format
from binary_split.engines import Engine
from binary_split.model import Fragment, ImagePins, ImageRef, Progress, ProgressSink, ignore_progress
from binary_split.transports.file import FileSource
from binary_split.unlock.checking import ExpectedImage, find_lacking, verify_images
from binary_split.unlock.opening import (
    OpenedArchive,
    Trust,
    one_kind_of_damage,
    open_cbc,
    open_release,
    pin_release,
)
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
        images: the images of the release; an ``age`` archive's statement says more, and is asked.
        pins: their config digests; None: take what a ``cbc`` archive says (``--allow-unauthenticated``).
        version: which an ``age`` archive must be; None: any.
        trust: whose ``age`` archives are believed.
    """

    archive: Path
    images: tuple[ImageRef, ...]
    pins: ImagePins | None
    version: str | None = None
    trust: Trust = field(default_factory=Trust)


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
    if (known := _find_installed(order, engine)) is not None:
        enter(State.READY)
        return UnlockResult(known)
    with FileSource(order.archive) as archive:
        archive_format = read_format(archive)
        if archive_format is ArchiveFormat.AGE:
            order.trust.verify_possible()
        enter(State.AUTHENTICATING)
        source.authenticate()
        enter(State.DOWNLOADING_KEY)
        fragment = source.fetch()
        enter(State.DECRYPTING)
        with _open(order, archive, archive_format, fragment) as opened:
            images = plan_images(opened.contents, opened.refs, opened.pins)
            expected = tuple(row for image in images for row in image.expected())
            lacking = {row.ref for row in find_lacking(engine, expected)}
            if not lacking:
                enter(State.READY)
                return UnlockResult(expected)
            enter(State.LOADING_IMAGES)
            payload = build_tar(opened.contents, (row for row in images if lacking & set(row.layout.refs)))
            engine.load(_counted(payload.chunks(), payload.size, report))
    enter(State.VERIFYING)
    verify_images(engine, expected)
    enter(State.READY)
    return UnlockResult(expected, tuple(sorted(lacking)), payload.size)


def _find_installed(order: UnlockOrder, engine: Engine) -> tuple[ExpectedImage, ...] | None:
    """Return the images if all that is known of them without the archive says that they are there."""
    if not order.images:
        return None
    pins = order.pins or {}
    expected = tuple(ExpectedImage(ref, pins.get(ref)) for ref in order.images)
    return None if find_lacking(engine, expected) else expected


@contextmanager
def _open(
    order: UnlockOrder, archive: FileSource, archive_format: ArchiveFormat, fragment: Fragment
) -> Iterator[OpenedArchive]:
    if archive_format is ArchiveFormat.CBC:
        yield open_cbc(archive, fragment, order.images, order.pins)
        return
    with open_release(archive, [FragmentIdentity(fragment)], order.trust) as contents:
        pins = pin_release(contents.statement, version=order.version)
        yield OpenedArchive(contents, tuple(pins), pins)


class _Steps:
    """Says which state is entered, and that no state is entered out of order."""

    def __init__(self, report: ProgressSink) -> None:
        self._state = State.IDLE
        self._report: Callable[[Progress], None] = report

    def __call__(self, state: State) -> None:
        self._state = advance(self._state, state)
        self._report(Progress(state))


def _counted(
    chunks: Iterable[bytes | memoryview], total: int, report: ProgressSink
) -> Iterator[bytes | memoryview]:
    done = 0
    with one_kind_of_damage():
        for chunk in chunks:
            yield chunk
            done += len(chunk)
            report(Progress(State.LOADING_IMAGES, done, total))
