"""The page of the check-up: what the doctor found, and a button to have it look again.

Looking asks the network and shows the token to the key service: a link from elsewhere must not do that.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from binary_split.agent.access import Caller
from binary_split.agent.answers import verify_pace
from binary_split.agent.page.signing_in import SIGN_IN, redirect
from binary_split.agent.page.subject import Subject
from binary_split.agent.page.visitors import Visitor, read_own_form, render_for

PATH = "/doctor"

router = APIRouter(redirect_slashes=False, include_in_schema=False)


@router.get(PATH)
def _show(request: Request, visitor: Visitor) -> Response:
    return redirect(SIGN_IN) if visitor is None else _show_findings(request, visitor)


@router.post("/page/doctor")
async def _look(request: Request, visitor: Visitor) -> Response:
    form = await read_own_form(request, visitor)
    if visitor is None:
        return redirect(SIGN_IN)
    if form is None:
        return _show_findings(request, visitor, is_stale=True)
    verify_pace(request)
    await run_in_threadpool(_subject(request).check_up.look)
    return redirect(PATH)


def _show_findings(request: Request, visitor: Caller, *, is_stale: bool = False) -> Response:
    return render_for(
        visitor,
        request,
        "doctor.html",
        here=PATH,
        status=HTTPStatus.FORBIDDEN if is_stale else HTTPStatus.OK,
        is_stale=is_stale,
        examined=_subject(request).check_up.last,
    )


def _subject(request: Request) -> Subject:
    subject: Subject = request.app.state.page_subject
    return subject
