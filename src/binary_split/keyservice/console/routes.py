"""The console's routes: pages to look at, and the forms on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from binary_split.errors import ConfigError, KeyStoreStateError, RecordError
from binary_split.keyservice.admin.desk import LocalDesk
from binary_split.keyservice.admin.routes import status_of
from binary_split.keyservice.answers import StoreOf
from binary_split.keyservice.console import signing_in, visitors
from binary_split.keyservice.console.forms import read_form, to_members, verify_confirmed
from binary_split.keyservice.console.orders import ORDERS, Order
from binary_split.keyservice.console.rendering import FOLDER, HEADERS, render
from binary_split.keyservice.console.views import VIEWS, Source
from binary_split.keyservice.console.visitors import Visitor
from binary_split.keyservice.store import Store
from binary_split.service.forms import Form, is_foreign, is_own_form, only

ROOT = "/console"
_TROUBLE = "The store cannot be used now. Try again in a moment."


def add_console(app: FastAPI) -> None:
    """Add the console and the file that it loads."""
    app.include_router(_router())
    app.include_router(signing_in.router)
    app.mount(f"{ROOT}/static", StaticFiles(directory=FOLDER / "static"))


def _router() -> APIRouter:
    router = APIRouter(prefix=ROOT, redirect_slashes=False, include_in_schema=False)
    for path in VIEWS:
        where = f"/{path}{{name}}" if path.endswith("/") else f"/{path}".rstrip("/")
        router.add_api_route(where, _page_endpoint(path), methods=["GET"])
    router.add_api_route("/acts/{act}", _order, methods=["POST"])
    return router


def _page_endpoint(path: str) -> Callable[..., Awaitable[Response]]:
    async def endpoint(request: Request, store: StoreOf) -> Response:
        return await run_in_threadpool(_answer_page, request, store, path)

    return endpoint


def _answer_page(request: Request, store: Store, path: str) -> Response:
    try:
        visitor = visitors.find_visitor(store, request)
        if visitor is None:
            return signing_in.redirect_to_sign_in(request)
        name = str(request.path_params.get("name", ""))
        return show_page(store, visitor, path, name=name, query=dict(request.query_params))
    except KeyStoreStateError:
        return render("trouble.html", status=HTTPStatus.SERVICE_UNAVAILABLE, message=_TROUBLE)


async def _order(request: Request, store: StoreOf, act: str) -> Response:
    """Do what a form orders."""
    try:
        form = await read_form(request)
        return await run_in_threadpool(_take_order, request, store, act, form)
    except RecordError as error:
        return render("trouble.html", status=HTTPStatus.BAD_REQUEST, message=str(error))
    except KeyStoreStateError:
        return render("trouble.html", status=HTTPStatus.SERVICE_UNAVAILABLE, message=_TROUBLE)


def _take_order(request: Request, store: Store, act: str, form: Form) -> Response:
    visitor = visitors.find_visitor(store, request)
    if visitor is None:
        return signing_in.redirect_to_sign_in(request)
    if is_foreign(request) or not is_own_form(visitor.secret, only(form, "form_token")):
        store.failures.note(source=visitor.record.token_id, reason="form-token")
        message = "This form is not from this session. Go back, load the page again, and send it once more."
        return render("trouble.html", status=HTTPStatus.FORBIDDEN, message=message)
    order = ORDERS.get(act)
    if order is None:
        return render("trouble.html", status=HTTPStatus.NOT_FOUND, message="There is no such form.")
    given = {name: " ".join(values) for name, values in form.items() if name != "form_token"}
    try:
        members = to_members(form, order.fields)
        if order.is_confirmed:
            verify_confirmed(form, "key_id")
        answer = LocalDesk(store, by=visitor.record.token_id).do(order.act, **members)
    except (RecordError, ConfigError) as error:
        return _show_again(store, visitor, order, given, error)
    if order.secret:
        return render(
            "issued.html",
            **_frame(visitor, order.page),
            secret=answer.pop(order.secret),
            kind=order.secret,
            answer=answer,
        )
    target = f"{ROOT}/{order.page.format_map({name: quote(text, safe='') for name, text in given.items()})}"
    return RedirectResponse(f"{target}?done={order.act.name}", HTTPStatus.SEE_OTHER, headers=HEADERS)


def _show_again(
    store: Store, visitor: Visitor, order: Order, given: Mapping[str, str], error: Exception
) -> HTMLResponse:
    """Show the form's page with what was typed and what is wrong with it; a secret must be typed again."""
    path, slash, _ = order.page.partition("/")
    name = given.get(order.page.partition("{")[2].rstrip("}"), "") if slash else ""
    shown = {key: text for key, text in given.items() if key != "fragment"}
    options = {"problem": str(error), "failed": order.act.name, "given": shown}
    return show_page(store, visitor, path + slash, name=name, query={}, status=status_of(error), **options)


def show_page(
    store: Store,
    visitor: Visitor,
    path: str,
    *,
    name: str,
    query: Mapping[str, str],
    status: HTTPStatus = HTTPStatus.OK,
    **options: Any,
) -> HTMLResponse:
    """Return a page as somebody who is signed in sees it."""
    view = VIEWS[path]
    frame = _frame(visitor, path) | options
    try:
        shown = view.gather(Source(store, LocalDesk(store), query, name))
    except RecordError as error:
        return render("trouble.html", status=status_of(error), message=str(error))
    done = ORDERS[query["done"]].done if query.get("done") in ORDERS else ""
    return render(view.template, status=status, **frame, **shown, done=done)


def _frame(visitor: Visitor, path: str) -> dict[str, Any]:
    return {
        "here": path.partition("/")[0],
        "form_token": visitor.form_token,
        "actor": visitor.record.label or visitor.record.token_id,
        "problem": "",
        "failed": "",
        "given": {},
    }
