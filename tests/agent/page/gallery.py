"""Every state of the page as a picture on its own address, rendered as the agent does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from binary_split.agent.access import Access, Caller, CallerKind
from binary_split.agent.page.checkup import CheckUp
from binary_split.agent.page.doctor_routes import router as doctor
from binary_split.agent.page.rendering import STATIC
from binary_split.agent.page.showing import show_status
from binary_split.agent.page.signing_in import router as signing_in
from binary_split.agent.page.subject import Subject
from binary_split.agent.settings import AgentSettings, ArchiveChoice
from binary_split.agent.status import Failure, ImageState, ImageStatus, Status
from binary_split.doctor import Finding, Verdict
from binary_split.errors import (
    ArchiveDamagedError,
    EngineAbortedError,
    EngineUnreachableError,
    TokenRejectedError,
)
from binary_split.model import ImageRef
from binary_split.service.listener import listener_url, open_listener
from binary_split.service.pace import Pace
from binary_split.unlock.checking import ExpectedImage
from binary_split.unlock.records import InstalledRelease
from binary_split.unlock.states import State
from tests.agent.asking import listening

MB = 1_000_000
SCRIPT = "<script>window.ran = 1</script>"
NAMES = ("azaion/annotations", "azaion/flights", "azaion/detections", "azaion/gps-denied-onboard")
IMAGES = tuple(f"{name}:1.4.0" for name in NAMES)
_SUBJECTS = (
    (ImageState.VERIFIED, 812 * MB, 812 * MB),
    (ImageState.LOADING, 301 * MB, 640 * MB),
    (ImageState.LOADING, 12 * MB, 1_730 * MB),
    (ImageState.WAITING, 0, 95 * MB),
)


def _images(state: ImageState | None = None) -> tuple[ImageStatus, ...]:
    rows = zip(IMAGES, _SUBJECTS, strict=True)
    return tuple(ImageStatus(name, state or own, done, total) for name, (own, done, total) in rows)


_START = Status(7, State.IDLE, 0.0)
_UNDER_WAY = replace(_START, archive="usb-stick", version="1.4.0", started_at=0.0)
_LOADING = replace(
    _UNDER_WAY,
    state=State.LOADING_IMAGES,
    done_bytes=1_125 * MB,
    total_bytes=3_277 * MB,
    rate_bytes_per_s=48.3 * MB,
    remaining_s=222.0,
    images=_images(),
)


FINDINGS = (
    Finding("self-test", Verdict.OK, "every primitive gives the known answer"),
    Finding("engine", Verdict.FAILED, "no engine answers", "Start the engine."),
    Finding("clock", Verdict.WARNING, SCRIPT, "Set the clock."),
    Finding("token", Verdict.SKIPPED, "the key service is not there"),
)
CHECK_UP = CheckUp(lambda: FINDINGS)


def _failed(failure: Failure) -> Status:
    return replace(_UNDER_WAY, state=State.ERROR, failure=failure)


STATES: Mapping[str, Status] = {
    "idle": _START,
    "checking": replace(_UNDER_WAY, state=State.CHECKING, version=""),
    "fetching": replace(_UNDER_WAY, state=State.DOWNLOADING_KEY, waiting_for="the key service"),
    "loading": _LOADING,
    "waiting": replace(_LOADING, waiting_for="the engine"),
    "verifying": replace(
        _LOADING, state=State.VERIFYING, done_bytes=2, total_bytes=4, images=_images(ImageState.LOADED)
    ),
    "ready": replace(_UNDER_WAY, state=State.READY, images=_images(ImageState.VERIFIED)),
    "wrong-token": _failed(Failure.of(TokenRejectedError("the key service rejected the token (401)"))),
    "engine-stopped": _failed(
        Failure.of(EngineUnreachableError("no engine answers at unix:///run/docker.sock"))
    ),
    "damaged": _failed(Failure.of(ArchiveDamagedError())),
    "unknown-error": _failed(Failure("never-heard-of", "Something.", "")),
    "cancelled": _failed(Failure.of(EngineAbortedError("the load was ended"))),
    "hostile": replace(
        _LOADING,
        version=SCRIPT,
        images=(
            ImageStatus(SCRIPT, ImageState.LOADING, 1, 2),
            ImageStatus("x" * 250, ImageState.WAITING, 0, 9),
        ),
    ),
    "empty": _START,
}
"""By name; ``empty`` is of an agent without an archive."""

_RELEASES = (
    InstalledRelease(
        "a" * 64,
        tuple(ExpectedImage(ImageRef(name, "1.3.0")) for name in NAMES),
        "2026-10-02T09:12:44.000001+00:00",
        product="azaion",
        version="1.3.0",
        sequence=12,
    ),
)


@dataclass
class Gallery:
    """Where the pages are, and which of `STATES` is shown there."""

    url: str
    name: str = "idle"


def _build(access: Access, shown: Gallery) -> FastAPI:
    app = FastAPI()
    app.state.access = access
    app.state.pace = Pace(0)

    async def silence() -> StreamingResponse:
        async def events() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield b":\n\n"
                await asyncio.sleep(0.1)

        return StreamingResponse(events(), media_type="text/event-stream")

    async def show(request: Request) -> Response:
        name = shown.name
        names = {"empty": (), "idle": ("usb-stick", "internal")}.get(name, ("usb-stick",))
        choices = {each: ArchiveChoice(each, STATIC) for each in names}
        agent = AgentSettings(choices, default=next(iter(choices), ""))
        is_new = name in {"idle", "empty"}
        releases = None if name == "engine-stopped" else () if is_new else _RELEASES
        app.state.page_subject = Subject(agent, None if is_new else "drone-0117", lambda: releases, CHECK_UP)
        return show_status(request, Caller(CallerKind.LOCAL), STATES[name])

    app.include_router(signing_in)
    app.include_router(doctor)
    app.mount("/page/static", StaticFiles(directory=STATIC))
    app.add_api_route("/unlock/events", silence)
    app.add_api_route("/", show)
    return app


@contextmanager
def hanging(access: Access) -> Iterator[Gallery]:
    """Show the gallery on loopback until the block ends."""
    listener = open_listener("127.0.0.1", 0, plain=True)
    shown = Gallery(listener_url(listener, plain=True))
    with listening(_build(access, shown), listener, None):
        yield shown
