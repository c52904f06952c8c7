"""What the page shows of a status: every word chosen, every number written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from binary_split.agent.page.catalogue import Catalogue
from binary_split.agent.page.wording import percent_of, write_amount, write_bytes, write_remaining
from binary_split.agent.status import Failure, ImageState, ImageStatus, Status
from binary_split.errors import EngineAbortedError, FragmentForbiddenError, TokenRejectedError
from binary_split.unlock.states import State

_STEPS = (
    *(State.CHECKING, State.AUTHENTICATING, State.DOWNLOADING_KEY),
    *(State.DECRYPTING, State.LOADING_IMAGES, State.VERIFYING),
)
_SPOKEN_EVERY_PERCENT = 25
_DONE = frozenset({ImageState.LOADED, ImageState.VERIFIED})
_ABOUT_TOKENS = frozenset({TokenRejectedError.code, FragmentForbiddenError.code})


class Shape(StrEnum):
    """What the page is about now."""

    EMPTY = "empty"
    IDLE = "idle"
    RUNNING = "running"
    READY = "ready"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image; percent is None where there is nothing to measure."""

    name: str
    state: ImageState
    says: str
    percent: int | None
    amount: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong, in plain words, and what our error said of it.

    Attributes:
        needs_token: whether another token may be the cure.
    """

    says: str
    do: str
    needs_token: bool
    failure: Failure


@dataclass(frozen=True, slots=True)
class Picture:
    """All that the page says of the unlock.

    Attributes:
        spoken: what a screen reader says; it changes less often than what is seen.
        count: which step of how many; empty where nothing is under way, as are the next.
        step: what is done now.
        percent: of that step; None where that is not known.
        facts: how much, how fast, how long.
        waiting: who is waited for.
    """

    shape: Shape
    spoken: str
    archive: str
    version: str
    count: str = ""
    step: str = ""
    percent: int | None = None
    facts: tuple[str, ...] = ()
    waiting: str = ""
    images: tuple[ImageRow, ...] = ()
    trouble: Trouble | None = None


def draw(status: Status, say: Catalogue, *, has_archive: bool) -> Picture:
    """Return what the page shows of a status."""
    shape = _shape(status, has_archive=has_archive)
    images = tuple(_draw_image(image, say, is_ready=shape is Shape.READY) for image in status.images)
    trouble = None if status.failure is None else explain(status.failure, say)
    if shape is Shape.RUNNING:
        return _draw_running(status, say, images)
    spoken = trouble.says if shape is Shape.ERROR and trouble else say(f"shape.{shape}")
    return Picture(shape, spoken, status.archive, status.version, images=images, trouble=trouble)


def explain(failure: Failure, say: Catalogue) -> Trouble:
    """Return plain words for a failure."""
    return Trouble(
        says=say.find(f"error.{failure.code}.says", "error.error.says"),
        do=say.find(f"error.{failure.code}.do", "error.error.do"),
        needs_token=failure.code in _ABOUT_TOKENS,
        failure=failure,
    )


def _shape(status: Status, *, has_archive: bool) -> Shape:
    if status.is_running:
        return Shape.RUNNING
    if status.state is State.READY:
        return Shape.READY
    if status.failure is not None:
        is_cancelled = status.failure.code == EngineAbortedError.code
        return Shape.CANCELLED if is_cancelled else Shape.ERROR
    if status.state is State.ERROR:
        return Shape.ERROR
    return Shape.IDLE if has_archive else Shape.EMPTY


def _draw_running(status: Status, say: Catalogue, images: tuple[ImageRow, ...]) -> Picture:
    step = say(f"step.{status.state}")
    percent, facts = None, []
    if status.total_bytes:
        percent = percent_of(status.done_bytes, status.total_bytes)
        facts.append(write_amount(say, status.done_bytes, status.total_bytes))
    if status.rate_bytes_per_s > 0 and status.total_bytes:
        facts.append(say("progress.rate", amount=write_bytes(say, status.rate_bytes_per_s)))
    if status.remaining_s is not None and status.total_bytes:
        facts.append(write_remaining(say, status.remaining_s))
    return Picture(
        Shape.RUNNING,
        _speak(step, percent, say),
        status.archive,
        status.version,
        count=say("step.count", number=_STEPS.index(status.state) + 1, total=len(_STEPS)),
        step=step,
        percent=percent,
        facts=tuple(facts),
        waiting=_write_waiting(status.waiting_for, say),
        images=images,
    )


def _speak(step: str, percent: int | None, say: Catalogue) -> str:
    """Return what is said aloud: a listener wants each quarter, not each percent."""
    if not percent or percent < _SPOKEN_EVERY_PERCENT:
        return step
    return say("progress.spoken", step=step, percent=percent - percent % _SPOKEN_EVERY_PERCENT)


def _write_waiting(whom: str, say: Catalogue) -> str:
    key = f"waiting.{whom.removeprefix('the ').replace('another ', 'other ').replace(' ', '-')}"
    return say(key) if say.has(key) else whom


def _draw_image(image: ImageStatus, say: Catalogue, *, is_ready: bool) -> ImageRow:
    state = ImageState.VERIFIED if is_ready else image.state
    percent = percent_of(image.done_bytes, image.total_bytes) if image.total_bytes else None
    return ImageRow(
        name=image.name,
        state=state,
        says=say(f"image.{state}"),
        percent=100 if state in _DONE else percent,
        amount=_write_image_amount(image, state, say),
    )


def _write_image_amount(image: ImageStatus, state: ImageState, say: Catalogue) -> str:
    if not image.total_bytes or state in _DONE:
        return ""
    if state is ImageState.WAITING:
        return write_bytes(say, image.total_bytes)
    return write_amount(say, image.done_bytes, image.total_bytes)
