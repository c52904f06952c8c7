"""Who looks at a page, and that a form on it is theirs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.responses import Response

from binary_split.agent.access import Access, Caller
from binary_split.agent.page.rendering import render
from binary_split.agent.page.signing_in import bind_visit, find_visit, is_bound
from binary_split.agent.sessions import generate_secret
from binary_split.service.forms import Form, MalformedFormError, derive_form_token, read_form


async def _find_caller(request: Request) -> Caller | None:
    access: Access = request.app.state.access
    return access.find_caller(request)


Visitor = Annotated[Caller | None, Depends(_find_caller)]
"""For a route of a page: who looks at it; None for a stranger, who is sent to sign in."""


async def read_own_form(request: Request, visitor: Caller | None) -> Form | None:
    """Return the fields of a form that a page of ours sent for this visitor, or None."""
    try:
        form = await read_form(request)
    except MalformedFormError:
        return None
    return form if is_bound(request, visitor, form) else None


def render_for(
    visitor: Caller, request: Request, template: str, *, here: str, status: HTTPStatus, **context: Any
) -> Response:
    """Return a page whose forms are bound to this visitor."""
    secret = find_visit(request, visitor) or generate_secret()
    response = render(
        request,
        template,
        here=here,
        status=status,
        form_token=derive_form_token(secret),
        can_sign_out=bool(visitor.session),
        **context,
    )
    if not visitor.session:
        bind_visit(request, response, secret)
    return response
