"""From what the pipeline tells of its progress to pictures."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from binary_split.agent.board import Board
from binary_split.agent.status import ImageState, ImageStatus
from binary_split.model import ImageRef, ItemProgress, Progress
from binary_split.progress import StepRate
from binary_split.unlock.records import InstalledRelease
from binary_split.unlock.states import State

_ENDS = (State.READY, State.ERROR)


class Course:
    """One unlock, as it is told.

    Args:
        board: where its pictures go.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._rate = StepRate()
        self._images: dict[str, ImageStatus] = {}

    def plan(self, release: InstalledRelease, lacking: Collection[ImageRef]) -> None:
        """Tell which release it is, and which of its images are not there yet."""
        self._images = {
            str(image.ref): ImageStatus(
                str(image.ref), ImageState.WAITING if image.ref in lacking else ImageState.VERIFIED
            )
            for image in release.images
        }
        self._board.publish(version=release.version or "", images=tuple(self._images.values()))

    def __call__(self, progress: Progress) -> None:
        """Tell how far it is. How it ended is told by whoever knows the reason too."""
        if progress.step in _ENDS:
            return
        rate = self._rate.measure(progress)
        for item in progress.items:
            self._images[item.name] = _image_status(item)
        if progress.step == State.VERIFYING:
            for name, image in self._images.items():
                if image.state is not ImageState.VERIFIED:
                    self._images[name] = replace(image, state=ImageState.LOADED, done_bytes=image.total_bytes)
        self._board.publish(
            state=State(progress.step),
            done_bytes=progress.done,
            total_bytes=progress.total,
            rate_bytes_per_s=rate.bytes_per_s,
            remaining_s=rate.remaining_s,
            waiting_for=progress.waiting_for or "",
            images=tuple(self._images.values()),
        )


def _image_status(item: ItemProgress) -> ImageStatus:
    if item.done >= item.total:
        state = ImageState.LOADED
    else:
        state = ImageState.LOADING if item.done else ImageState.WAITING
    return ImageStatus(item.name, state, item.done, item.total)
