"""Who may use the agent: whoever may open its unix socket, or shows a credential of its own.

Being on the same machine is none: docs/adr/0085-loopback-is-no-identity.md.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import Security
from fastapi.security import HTTPBearer
from starlette.requests import Request

from binary_split.agent.origins import is_own_origin, is_safe
from binary_split.agent.sessions import Sessions, hash_secret
from binary_split.config import LIMITS
from binary_split.errors import ConfigError
from binary_split.files import read_secret
from binary_split.service.bearer import read_bearer
from binary_split.service.connection import connection_of
from binary_split.service.cookies import read_cookie
from binary_split.service.problems import REJECTED_TOKEN, Problem, ProblemError

SESSION_COOKIE = "binary-split-agent-session"
JSON = "application/json"

NOT_JSON = Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.")
NOT_FROM_PAGE = Problem(
    HTTPStatus.FORBIDDEN, "With a cookie, this needs JSON from a page of the agent's own."
)


class CallerKind(StrEnum):
    """By what a caller may use the agent."""

    LOCAL = "local"
    MTLS = "mtls"
    BEARER = "bearer"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may use the agent.

    Attributes:
        kind: by what.
        name: of the certificate; empty with every other kind.
        session: the secret of the cookie; empty with every other kind.
    """

    kind: CallerKind
    name: str = ""
    session: str = field(default="", repr=False)


class Access:
    """Decides who may use the agent.

    Args:
        token: the agent's own; its hash is kept. The empty one lets nobody in by a token, and nobody sign in.
        sessions: of those who signed in.
    """

    def __init__(self, token: str = "", sessions: Sessions | None = None) -> None:
        self._token_hash = hash_secret(token) if token else None
        self.sessions = sessions or Sessions()

    @property
    def has_token(self) -> bool:
        """Whether anybody can sign in."""
        return self._token_hash is not None

    def is_token(self, text: str) -> bool:
        """Tell, in constant time, whether a text is the agent's own token."""
        return self._token_hash is not None and hmac.compare_digest(hash_secret(text), self._token_hash)

    def find_caller(self, request: Request) -> Caller | None:
        """Return who asks, by the connection and the cookie alone, as for a page; None for a stranger."""
        connection = connection_of(request.scope)
        if connection.is_unix:
            return Caller(CallerKind.LOCAL)
        if connection.certified:
            return Caller(CallerKind.MTLS, name=connection.certified)
        secret = read_cookie(request, SESSION_COOKIE)
        if secret and self.sessions.is_live(secret):
            return Caller(CallerKind.SESSION, session=secret)
        return None

    def verify(self, request: Request) -> Caller:
        """Return who asks the API.

        Raises:
            ProblemError: it is nobody who may (401), the Authorization header is malformed (400), what would
                change something is not JSON (415), or a cookie came with it from no page of ours (403).
        """
        caller = self.find_caller(request)
        if caller is None:
            if not self.is_token(read_bearer(request)):
                raise ProblemError(REJECTED_TOKEN)
            caller = Caller(CallerKind.BEARER)
        if not is_safe(request.method):
            _verify_json(request, caller)
        return caller


def _verify_json(request: Request, caller: Caller) -> None:
    """Refuse what a form on any page can send; the check of the origin stands before this one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {"", JSON}:
        raise ProblemError(NOT_JSON)
    if caller.kind is CallerKind.SESSION and not (kind and is_own_origin(request)):
        raise ProblemError(NOT_FROM_PAGE)


class _AccessScheme(HTTPBearer):
    """How the agent's access is written in OpenAPI, and asked by a route."""

    def __init__(self) -> None:
        super().__init__(
            scheme_name="bearerToken",
            description="The agent's own token. Its unix socket and client certificates need none.",
            auto_error=False,
        )

    async def __call__(self, request: Request) -> Caller:  # type: ignore[override]  # who asks is all that is needed
        access: Access = request.app.state.access
        return access.verify(request)


CallerOf = Annotated[Caller, Security(_AccessScheme())]
"""For a route: who asks; nobody who may not gets as far as its body."""


def read_agent_token(path: Path) -> str:
    """Read the agent's own token.

    Raises:
        SecretFileError: it cannot be read, or is open to others.
        ConfigError: it is short enough to be guessed.
    """
    content = read_secret(path, what="agent's token", max_bytes=LIMITS.token_bytes, is_private=True)
    token = content.decode("ascii", "replace").strip()
    if len(token) < LIMITS.agent_token_characters:
        raise ConfigError(
            f"the agent's token in {path} is shorter than {LIMITS.agent_token_characters} characters",
            hint="Make one: `head -c 32 /dev/urandom | base64`.",
        )
    return token
