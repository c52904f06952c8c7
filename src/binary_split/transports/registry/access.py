"""Getting in at a registry: the challenge of its 401, and the token that answers it.

The protocols are those of the Distribution project, "Token Authentication" and "OAuth2 Token Authentication";
RFC 6749, RFC 6750 and RFC 7617 below them.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from binary_split.config import LIMITS
from binary_split.errors import ConfigError, RegistryError
from binary_split.transports.registry.credentials import AccessToken, AnyLogin, Login, RefreshToken
from binary_split.transports.registry.refusals import refused
from binary_split.transports.web.answers import verify_answered
from binary_split.transports.web.http_pool import send, verify_url
from binary_split.transports.web.open_sockets import OpenSockets
from binary_split.transports.web.own_pools import OwnPools

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_CLIENT = "binary-split"
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')


class RegistryAccess:
    """Who we are to a registry, for one repository; for any number of threads.

    Args:
        host: of the registry, for errors.
        scope: what a token is to allow, ``repository:NAME:pull`` or with ``pull,push``.
        pools: reach the registry and its token service.
        opened: knows its sockets, and whether they were cut.
        login: None: nobody in particular.
        insecure_http: whether a token service may be plain http.
    """

    def __init__(
        self,
        host: str,
        scope: str,
        pools: OwnPools,
        opened: OpenSockets,
        login: AnyLogin | None,
        *,
        insecure_http: bool,
    ) -> None:
        self._host = host
        self._scope = scope
        self._pools = pools
        self._opened = opened
        self._login = login
        self._insecure_http = insecure_http
        self._lock = threading.Lock()
        self._authorization = ""

    def headers(self) -> dict[str, str]:
        """Return what a request says of who asks."""
        return {"Authorization": self._authorization} if self._authorization else {}

    def renew(self, response: BaseHTTPResponse, said: Mapping[str, str]) -> bool:
        """Answer a challenge; False: there is nothing better to say than what was said.

        Args:
            response: the challenge.
            said: the headers that it answers; another thread may have got better ones meanwhile.

        Raises:
            RegistryError: the token service refuses, or makes no sense.
        """
        challenge = response.headers.get("WWW-Authenticate", "")
        scheme, _, rest = challenge.partition(" ")
        with self._lock:
            if self.headers() != said:
                return True
            if isinstance(self._login, AccessToken):
                self._authorization = f"Bearer {self._login.text}"
            elif scheme.lower() == "basic":
                self._authorization = self._login.basic() if isinstance(self._login, Login) else ""
            elif scheme.lower() == "bearer":
                self._authorization = f"Bearer {self._fetch_token(dict(_PARAMETER.findall(rest)))}"
            return self.headers() not in ({}, said)

    def _fetch_token(self, parameters: dict[str, str]) -> str:
        realm = parameters.pop("realm", "")
        try:
            verify_url(realm, insecure_http=self._insecure_http)
        except ConfigError as error:
            raise RegistryError(
                f"the registry sends us to a token service that is not safe: {error}"
            ) from error
        asked = {"service": parameters["service"]} if "service" in parameters else {}
        asked["scope"] = self._scope_for(parameters.get("scope", ""))
        breaks = self._opened.breaks
        with closing(self._ask(realm, asked)) as response:
            self._opened.verify_uncut(breaks)
            verify_answered(response)
            if response.status != HTTPStatus.OK:
                raise refused(response, self._host, "let us in by its token service")
            content = response.read(LIMITS.token_answer_bytes)
            self._opened.verify_uncut(breaks)
        try:
            document = json.loads(content)
            token = document.get("token") or document["access_token"]  # the one of a GET, the other of a POST
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise RegistryError("the registry's token service gives no token") from None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError("the registry's token service gives no token")
        return token

    def _scope_for(self, wanted: str) -> str:
        """Return what to ask for: what we came for, as some want no more of us than to read, or nothing."""
        is_of_us = self._scope.startswith(wanted.rpartition(":")[0] + ":")
        return self._scope if not wanted or is_of_us else wanted

    def _ask(self, realm: str, asked: dict[str, str]) -> BaseHTTPResponse:
        """Ask for a token: by GET with a password, by POST with a refresh token, which is in no URL so."""
        pool = self._pools.of(realm)
        if isinstance(self._login, RefreshToken):
            form = {"grant_type": "refresh_token", **asked, "client_id": _CLIENT}
            body = urlencode({**form, "refresh_token": self._login.text}).encode()
            return send(pool, "POST", realm, {"Content-Type": "application/x-www-form-urlencoded"}, body)
        headers = {"Authorization": self._login.basic()} if isinstance(self._login, Login) else {}
        mark = "&" if "?" in realm else "?"
        return send(pool, "GET", f"{realm}{mark}{urlencode(asked)}", headers)
