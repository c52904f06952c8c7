"""Who is signed in: a cookie with the secret of a session, and forms that prove that they are ours.

The secret is made anew at each sign-in, and the store keeps its hash alone. A session ends after an hour, or
with its token.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from binary_split.errors import FragmentForbiddenError, TokenRejectedError
from binary_split.keyservice.admin.authority import ADMIN, verify_live
from binary_split.keyservice.store import Store
from binary_split.keyservice.tokens import TokenRecord
from binary_split.service.cookies import read_cookie, set_cookie
from binary_split.service.forms import derive_form_token

LIFETIME = timedelta(hours=1)
_SESSION = "binary-split-session"
_VISIT = "binary-split-visit"
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in; no repr shows the secret."""

    secret: str = field(repr=False)
    record: TokenRecord

    @property
    def form_token(self) -> str:
        """What each form of this session holds, and no other site can know."""
        return derive_form_token(self.secret)


def find_visitor(store: Store, request: Request) -> Visitor | None:
    """Return who is signed in; None where the session or the right of its token has ended."""
    secret = read_cookie(request, _SESSION)
    record = store.sessions.find(secret) if secret else None
    if record is None or ADMIN not in record.scopes:
        return None
    try:
        verify_live(store, record)
    except (TokenRejectedError, FragmentForbiddenError):
        return None
    return Visitor(secret, record)


def visit_secret(request: Request) -> str:
    """Return the secret of somebody who is not signed in; empty before the first page."""
    return read_cookie(request, _VISIT)


def generate_visit_secret() -> str:
    """Return a new secret for the sign-in form, so that no other site can sign somebody in."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def set_visit_cookie(request: Request, response: Response, secret: str) -> None:
    """Keep the secret of the sign-in form."""
    set_cookie(request, response, _VISIT, secret, int(LIFETIME.total_seconds()))


def set_session_cookie(request: Request, response: Response, secret: str) -> None:
    """Keep the secret of a session; the one of the sign-in form has served."""
    set_cookie(request, response, _SESSION, secret, int(LIFETIME.total_seconds()))
    set_cookie(request, response, _VISIT, "", 0)


def clear_session_cookie(request: Request, response: Response) -> None:
    """Forget the secret of a session."""
    set_cookie(request, response, _SESSION, "", 0)


def session_secret(request: Request) -> str:
    """Return the secret of a session, whether it has ended or not; empty where there is none."""
    return read_cookie(request, _SESSION)
