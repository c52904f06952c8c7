"""Signing in with an administrator's token, and out."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from binary_split.errors import FragmentForbiddenError, KeyStoreStateError, RecordError, TokenRejectedError
from binary_split.keyservice.admin import acts
from binary_split.keyservice.admin.authority import OutOfScopeError, verify_bearer
from binary_split.keyservice.answers import StoreOf, client_of
from binary_split.keyservice.chain import AuditEvent
from binary_split.keyservice.console import visitors
from binary_split.keyservice.console.forms import read_form
from binary_split.keyservice.console.rendering import HEADERS, render
from binary_split.keyservice.store import Store
from binary_split.service.forms import Form, derive_form_token, is_foreign, is_own_form, only

_ROOT = "/console"
_PATH = f"{_ROOT}/sign-in"
_REFUSED = "This token does not work here: it must be an administrator's, and alive."
_FOREIGN = "The form was too old, or not from this page. Here is a new one."

router = APIRouter(redirect_slashes=False, include_in_schema=False)


def redirect_to_sign_in(request: Request) -> Response:
    """Send somebody who is not signed in there; a session that has ended is forgotten."""
    response = RedirectResponse(_PATH, HTTPStatus.SEE_OTHER, headers=HEADERS)
    visitors.clear_session_cookie(request, response)
    return response


@router.get(_PATH)
async def _sign_in_page(request: Request) -> Response:
    return _show_form(request)


@router.post(_PATH)
async def _sign_in(request: Request, store: StoreOf) -> Response:
    try:
        form = await read_form(request)
        return await run_in_threadpool(_begin, request, store, form)
    except RecordError as error:
        return _show_form(request, str(error), HTTPStatus.BAD_REQUEST)
    except KeyStoreStateError:
        return _show_form(request, "The store cannot be used now.", HTTPStatus.SERVICE_UNAVAILABLE)


@router.post(f"{_ROOT}/sign-out")
async def _sign_out(request: Request, store: StoreOf) -> Response:
    try:
        form = await read_form(request)
    except RecordError:
        form = {}
    secret = visitors.session_secret(request)
    if is_foreign(request) or not is_own_form(secret, only(form, "form_token")):
        return RedirectResponse(_ROOT, HTTPStatus.SEE_OTHER, headers=HEADERS)
    await run_in_threadpool(store.sessions.end, secret)
    return redirect_to_sign_in(request)


def _begin(request: Request, store: Store, form: Form) -> Response:
    if is_foreign(request) or not is_own_form(visitors.visit_secret(request), only(form, "form_token")):
        return _show_form(request, _FOREIGN, HTTPStatus.FORBIDDEN)
    token = only(form, "token").strip()
    try:
        record = verify_bearer(store, token, acts.LIST_KEYS, source=client_of(request))
    except (TokenRejectedError, FragmentForbiddenError, OutOfScopeError):
        return _show_form(request, _REFUSED, HTTPStatus.FORBIDDEN)
    with store.ledger.writing() as turn:
        turn.record(AuditEvent(kind="sign-in", actor=record.token_id))
    if before := visitors.session_secret(request):
        store.sessions.end(before)
    secret = store.sessions.begin(record.token_id, lifetime=visitors.LIFETIME)
    response = RedirectResponse(_ROOT, HTTPStatus.SEE_OTHER, headers=HEADERS)
    visitors.set_session_cookie(request, response, secret)
    return response


def _show_form(request: Request, problem: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
    secret = visitors.visit_secret(request) or visitors.generate_visit_secret()
    response = render("sign_in.html", status=status, problem=problem, form_token=derive_form_token(secret))
    visitors.set_visit_cookie(request, response, secret)
    return response
