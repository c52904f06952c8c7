"""Signing in with the agent's own token, and out; and the proof that a form is from a page of ours."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from binary_split.agent.access import SESSION_COOKIE, Access, Caller
from binary_split.agent.page.rendering import HEADERS, render
from binary_split.agent.sessions import LIFETIME_S, generate_secret
from binary_split.service.cookies import read_cookie, set_cookie
from binary_split.service.forms import (
    Form,
    MalformedFormError,
    derive_form_token,
    is_own_form,
    only,
    read_form,
)

SIGN_IN = "/sign-in"
VISIT_COOKIE = "binary-split-agent-visit"

router = APIRouter(redirect_slashes=False, include_in_schema=False)


def redirect(path: str) -> Response:
    """Send a browser to another page of ours."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, headers=HEADERS)


def find_visit(request: Request, caller: Caller | None) -> str:
    """Return the secret that the forms of a visitor's pages are bound to; empty before the first page."""
    return (caller.session if caller else "") or read_cookie(request, VISIT_COOKIE)


def bind_visit(request: Request, response: Response, secret: str) -> None:
    """Keep the secret of somebody who has no session: no other site has it, so none can send our forms."""
    set_cookie(request, response, VISIT_COOKIE, secret, LIFETIME_S)


def is_bound(request: Request, caller: Caller | None, form: Form) -> bool:
    """Tell whether a form is from a page that this visitor was given."""
    return is_own_form(find_visit(request, caller), only(form, "form_token"))


@router.get(SIGN_IN)
def _sign_in_page(request: Request) -> Response:
    if _access(request).find_caller(request) is not None:
        return redirect("/")
    return _show_form(request)


@router.post(SIGN_IN)
async def _sign_in(request: Request) -> Response:
    access = _access(request)
    try:
        form = await read_form(request)
    except MalformedFormError:
        return _show_form(request, "stale", HTTPStatus.BAD_REQUEST)
    if not is_bound(request, None, form):
        return _show_form(request, "stale", HTTPStatus.FORBIDDEN)
    if not access.is_token(only(form, "token").strip()):
        return _show_form(request, "refused", HTTPStatus.FORBIDDEN)
    access.sessions.end(read_cookie(request, SESSION_COOKIE))
    response = redirect("/")
    set_cookie(request, response, SESSION_COOKIE, access.sessions.begin(), LIFETIME_S)
    set_cookie(request, response, VISIT_COOKIE, "", 0)  # it has served
    return response


@router.post("/sign-out")
async def _sign_out(request: Request) -> Response:
    access = _access(request)
    caller = access.find_caller(request)
    try:
        form = await read_form(request)
    except MalformedFormError:
        form = {}
    if caller is None or not caller.session or not is_bound(request, caller, form):
        return redirect("/")
    access.sessions.end(caller.session)
    response = redirect(SIGN_IN)
    set_cookie(request, response, SESSION_COOKIE, "", 0)
    return response


def _show_form(request: Request, problem: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Show the form; one secret serves several of them, so that a second tab does not spoil the first."""
    access = _access(request)
    secret = read_cookie(request, VISIT_COOKIE) or generate_secret()
    response = render(
        request,
        "sign_in.html",
        here=SIGN_IN,
        status=status,
        problem=problem,
        form_token=derive_form_token(secret),
        can_sign_in=access.has_token,
    )
    bind_visit(request, response, secret)
    return response


def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access
