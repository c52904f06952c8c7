"""The page's routes: what is shown, and the forms on it."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from binary_split.agent.access import Caller
from binary_split.agent.answers import UnlockerOf, verify_pace
from binary_split.agent.page import doctor_routes, signing_in
from binary_split.agent.page.catalogue import choose_catalogue
from binary_split.agent.page.picture import explain
from binary_split.agent.page.rendering import STATIC
from binary_split.agent.page.showing import show_status
from binary_split.agent.page.signing_in import SIGN_IN, redirect
from binary_split.agent.page.subject import Subject
from binary_split.agent.page.visitors import Visitor, read_own_form
from binary_split.agent.status import Failure
from binary_split.agent.unlocker import Unlocker, UnlockWish
from binary_split.errors import BinarySplitError
from binary_split.service.forms import only

_router = APIRouter(redirect_slashes=False, include_in_schema=False)


def add_page(app: FastAPI, subject: Subject) -> None:
    """Add the page, whose callers `app.state.access` judges, and the files that it loads."""
    app.state.page_subject = subject
    app.include_router(_router)
    app.include_router(doctor_routes.router)
    app.include_router(signing_in.router)
    app.mount("/page/static", StaticFiles(directory=STATIC))


@_router.get("/")
def _show(request: Request, visitor: Visitor, unlocker: UnlockerOf) -> Response:
    if visitor is None:
        return redirect(SIGN_IN)
    return show_status(request, visitor, unlocker.status())


@_router.post("/page/unlock")
async def _unlock(request: Request, visitor: Visitor, unlocker: UnlockerOf) -> Response:
    form = await read_own_form(request, visitor)
    if visitor is None or form is None:
        return await run_in_threadpool(_refuse, request, visitor, unlocker)
    verify_pace(request)
    wish = UnlockWish(archive=only(form, "archive"), token=only(form, "token").strip())
    try:
        await run_in_threadpool(unlocker.begin, wish)
    except BinarySplitError as error:
        trouble = explain(Failure.of(error), choose_catalogue(request))
        return await run_in_threadpool(show_status, request, visitor, unlocker.status(), trouble=trouble)
    return redirect("/")


@_router.post("/page/cancel")
async def _cancel(request: Request, visitor: Visitor, unlocker: UnlockerOf) -> Response:
    if visitor is None or await read_own_form(request, visitor) is None:
        return await run_in_threadpool(_refuse, request, visitor, unlocker)
    verify_pace(request)
    await run_in_threadpool(unlocker.cancel)
    return redirect("/")


def _refuse(request: Request, visitor: Caller | None, unlocker: Unlocker) -> Response:
    if visitor is None:
        return redirect(SIGN_IN)
    return show_status(request, visitor, unlocker.status(), is_stale=True)
