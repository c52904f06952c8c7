"""The page's routes: what is shown, and the forms on it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from binary_split.agent.access import Access, Caller
from binary_split.agent.page import signing_in
from binary_split.agent.page.catalogue import choose_catalogue
from binary_split.agent.page.installed import list_installed
from binary_split.agent.page.picture import Shape, Trouble, draw, explain
from binary_split.agent.page.rendering import STATIC, render
from binary_split.agent.page.signing_in import SIGN_IN, bind_visit, find_visit, is_bound, redirect
from binary_split.agent.page.subject import Subject
from binary_split.agent.sessions import generate_secret
from binary_split.agent.status import Failure
from binary_split.agent.unlocker import UnlockWish
from binary_split.errors import BinarySplitError
from binary_split.service.forms import Form, MalformedFormError, derive_form_token, only, read_form

REFRESH_S = 5
_router = APIRouter(redirect_slashes=False, include_in_schema=False)


def add_page(app: FastAPI, subject: Subject) -> None:
    """Add the page, whose callers `app.state.access` judges, and the files that it loads."""
    app.state.page_subject = subject
    app.include_router(_router)
    app.include_router(signing_in.router)
    app.mount("/page/static", StaticFiles(directory=STATIC))


async def _find_caller(request: Request) -> Caller | None:
    access: Access = request.app.state.access
    return access.find_caller(request)


Visitor = Annotated[Caller | None, Depends(_find_caller)]


@_router.get("/")
def _show(request: Request, visitor: Visitor) -> Response:
    if visitor is None:
        return redirect(SIGN_IN)
    return _show_page(request, visitor)


@_router.post("/page/unlock")
async def _unlock(request: Request, visitor: Visitor) -> Response:
    form = await _read_own_form(request, visitor)
    if visitor is None or form is None:
        return _refuse(request, visitor)
    wish = UnlockWish(archive=only(form, "archive"), token=only(form, "token").strip())
    try:
        await run_in_threadpool(_subject(request).unlocker.begin, wish)
    except BinarySplitError as error:
        trouble = explain(Failure.of(error), choose_catalogue(request))
        return await run_in_threadpool(
            _show_page, request, visitor, trouble=trouble, status=HTTPStatus.CONFLICT
        )
    return redirect("/")


@_router.post("/page/cancel")
async def _cancel(request: Request, visitor: Visitor) -> Response:
    if visitor is None or await _read_own_form(request, visitor) is None:
        return _refuse(request, visitor)
    await run_in_threadpool(_subject(request).unlocker.cancel)
    return redirect("/")


async def _read_own_form(request: Request, visitor: Caller | None) -> Form | None:
    """Return the fields of a form that a page of ours sent for this visitor, or None."""
    try:
        form = await read_form(request)
    except MalformedFormError:
        return None
    return form if is_bound(request, visitor, form) else None


def _refuse(request: Request, visitor: Caller | None) -> Response:
    if visitor is None:
        return redirect(SIGN_IN)
    return _show_page(request, visitor, is_stale=True, status=HTTPStatus.FORBIDDEN)


def _show_page(
    request: Request,
    visitor: Caller,
    *,
    trouble: Trouble | None = None,
    is_stale: bool = False,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    """Return the page as it is now."""
    subject = _subject(request)
    say = choose_catalogue(request)
    picture = draw(subject.unlocker.status(), say, has_archive=bool(subject.agent.archives))
    secret = find_visit(request, visitor) or generate_secret()
    is_still = "still" in request.query_params
    response = render(
        request,
        "status.html",
        here="/",
        status=status,
        picture=picture,
        trouble=trouble or picture.trouble,
        is_stale=is_stale,
        archives=tuple(subject.agent.archives),
        chosen=picture.archive or subject.agent.default,
        device=subject.name,
        has_device_id=subject.device_id is not None,
        releases=list_installed(subject.read_releases()),
        form_token=derive_form_token(secret),
        can_sign_out=bool(visitor.session),
        refresh_s=REFRESH_S if picture.shape is Shape.RUNNING and not is_still else 0,
        is_still=is_still,
    )
    if not visitor.session:
        bind_visit(request, response, secret)
    return response


def _subject(request: Request) -> Subject:
    subject: Subject = request.app.state.page_subject
    return subject
