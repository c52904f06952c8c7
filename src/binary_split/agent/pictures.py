"""What changes in the picture when an unlock begins and when it ends. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from binary_split.agent.status import Failure, ImageState, ImageStatus, Status
from binary_split.unlock.records import InstalledRelease
from binary_split.unlock.states import State

Changes = dict[str, Any]
"""Attributes of `Status` and their new values."""

_AT_REST: Changes = {
    "done_bytes": 0,
    "total_bytes": None,
    "rate_bytes_per_s": 0.0,
    "remaining_s": None,
    "waiting_for": "",
}


def at_the_wish(archive: str, version: str | None, *, now: float) -> Changes:
    """Return what changes when an unlock is asked for."""
    return {
        **_AT_REST,
        "state": State.CHECKING,
        "archive": archive,
        "version": version or "",
        "images": (),
        "failure": None,
        "started_at": now,
    }


def when_ready(release: InstalledRelease, latest: Status) -> Changes:
    """Return what changes when every image is proven to be there."""
    return {
        **_AT_REST,
        "state": State.READY,
        "version": release.version or latest.version,
        "images": _verified(release, latest.images),
        "failure": None,
    }


def when_over(failure: Failure | None, latest: Status) -> Changes:
    """Return what changes when an unlock ends with nothing new there: it failed, or else was cancelled."""
    return {
        **_AT_REST,
        "state": State.IDLE if failure is None else State.ERROR,
        "images": tuple(map(_forgotten, latest.images)),
        "failure": failure,
    }


def when_gone() -> Changes:
    """Return what changes when images that were proven, or might have been there, are not."""
    return {**_AT_REST, "state": State.IDLE, "images": (), "failure": None}


def _verified(release: InstalledRelease, before: Sequence[ImageStatus]) -> tuple[ImageStatus, ...]:
    known = {image.name: image for image in before}
    names = [str(image.ref) for image in release.images]
    return tuple(
        replace(known.get(name, ImageStatus(name, ImageState.VERIFIED)), state=ImageState.VERIFIED)
        for name in names
    )


def _forgotten(image: ImageStatus) -> ImageStatus:
    """All or nothing: what was loaded of a release that is not whole is gone again."""
    if image.state is ImageState.VERIFIED:
        return image
    return replace(image, state=ImageState.WAITING, done_bytes=0)
