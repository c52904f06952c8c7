"""Who looks at a page, and whether a form is theirs."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from binary_split.agent.access import Access, Caller
from binary_split.agent.page.signing_in import is_bound
from binary_split.service.forms import Form, MalformedFormError, read_form


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
