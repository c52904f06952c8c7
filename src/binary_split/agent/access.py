"""Who may use the agent: local users by the socket's permissions, others by a certificate or its token."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from binary_split.config import LIMITS
from binary_split.errors import ConfigError
from binary_split.files import read_secret
from binary_split.service.bearer import read_bearer
from binary_split.service.problems import REJECTED_TOKEN, ProblemError

_scheme = HTTPBearer(
    scheme_name="bearerToken",
    description="The agent's own token. Callers on its unix socket need none.",
    auto_error=False,
)


class CallerKind(StrEnum):
    """How a caller showed that they may call."""

    LOCAL = "local"
    BEARER = "bearer"
    MTLS = "mtls"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls."""

    kind: CallerKind


class Access:
    """Decides who may.

    Args:
        connection: what every connection has shown already, if the listener asks for it: the permission to
            open the unix socket, or a certificate.
        token: of the agent; empty: none opens it.
    """

    def __init__(self, *, connection: CallerKind | None = None, token: str = "") -> None:
        self._connection = connection
        self._token_hash = _hash(token) if token else b""

    def verify(self, request: Request) -> Caller:
        """Return who calls.

        Raises:
            ProblemError: no token (401), a malformed one (400) or another one (401).
        """
        if self._connection is not None:
            return Caller(self._connection)
        token = read_bearer(request)
        # of hashes: the time tells nothing of the length either
        if not self._token_hash or not hmac.compare_digest(_hash(token), self._token_hash):
            raise ProblemError(REJECTED_TOKEN)
        return Caller(CallerKind.BEARER)


async def _caller(request: Request, _scheme: Annotated[object, Security(_scheme)]) -> Caller:
    access: Access = request.app.state.access
    return access.verify(request)


CallerOf = Annotated[Caller, Depends(_caller)]
"""A route's parameter: who calls; whoever may not is answered with a problem."""


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


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
