"""Unlock over HTTP: ask for it, look at it, end it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from binary_split.agent.access import CallerOf
from binary_split.agent.answers import CALLERS_PROBLEMS, UnlockerOf, answer_status, problem, verify_pace
from binary_split.agent.documents import StatusDocument, WishDocument
from binary_split.agent.unlocker import UnlockWish
from binary_split.unlock.states import State

router = APIRouter(redirect_slashes=False, prefix="/unlock", tags=["unlock"])


def _status_answer(description: str) -> dict[str, Any]:
    return {"description": description, "model": StatusDocument}


@router.post(
    "",
    summary="Unlock a release",
    description=(
        "Begins the unlock of a configured archive, or joins the one that is under way: what the body leaves "
        "open fits any. The answer comes once it is known whether everything is there already, for which no "
        "fragment is asked for; at the latest after 2 s."
    ),
    operation_id="unlock",
    status_code=202,
    responses={
        200: _status_answer("Everything is there already, and was proven again; nothing was loaded."),
        202: _status_answer("An unlock began, or was joined."),
        404: problem("No such archive is configured."),
        408: problem("The body did not come in time."),
        409: problem("Another release is being unlocked, or one that was cancelled has not ended yet."),
        413: problem("The body is too long."),
        422: problem("The body is not what this needs."),
        503: problem("The answer took too long.", "Retry-After"),
        **CALLERS_PROBLEMS,
    },
)
def _unlock(
    request: Request, _caller: CallerOf, unlocker: UnlockerOf, wish: WishDocument | None = None
) -> Response:
    verify_pace(request)
    status, has_begun = unlocker.begin(UnlockWish() if wish is None else wish.read())
    is_there = status.state is State.READY and not has_begun
    return answer_status(status, HTTPStatus.OK if is_there else HTTPStatus.ACCEPTED)


@router.get(
    "/status",
    summary="How far is the unlock?",
    operation_id="unlockStatus",
    responses={200: _status_answer("The unlock as it is now."), **CALLERS_PROBLEMS},
)
async def _status(_caller: CallerOf, unlocker: UnlockerOf) -> Response:
    return answer_status(unlocker.status())


@router.post(
    "/cancel",
    summary="End the unlock",
    description=(
        "The images that were there before stay as they were. A fragment that is being fetched is waited "
        "for, and what is being committed is finished. Then the state is `idle`."
    ),
    operation_id="cancelUnlock",
    status_code=202,
    responses={
        200: _status_answer("None was under way."),
        202: _status_answer("It ends; the state says when it has."),
        **CALLERS_PROBLEMS,
    },
)
async def _cancel(request: Request, _caller: CallerOf, unlocker: UnlockerOf) -> Response:
    verify_pace(request)
    status = unlocker.cancel()
    return answer_status(status, HTTPStatus.ACCEPTED if status.is_running else HTTPStatus.OK)
