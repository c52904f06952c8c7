"""Getting in at a registry: the challenge of its 401, and the token that answers it.

The protocol is that of the Distribution project's token authentication; RFC 6750 and RFC 7617 below it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import urllib3

from binary_split.config import LIMITS
from binary_split.errors import ConfigError, RegistryError
from binary_split.transports.credentials import Login
from binary_split.transports.http_pool import send, verify_url
from binary_split.transports.open_sockets import OpenSockets

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')


class RegistryAccess:
    """Who we are to a registry, for one repository; for any number of threads.

    Args:
        pool: reaches the registry and its token service.
        opened: knows its sockets, and whether they were cut.
        login: None: nobody in particular.
        insecure_http: whether a token service may be plain http.
    """

    def __init__(
        self, pool: urllib3.PoolManager, opened: OpenSockets, login: Login | None, *, insecure_http: bool
    ) -> None:
        self._pool = pool
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
            if scheme.lower() == "basic":
                self._authorization = self._login.basic() if self._login else ""
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
        asked = [(name, parameters[name]) for name in ("service", "scope") if name in parameters]
        headers = {"Authorization": self._login.basic()} if self._login else {}
        breaks = self._opened.breaks
        with closing(send(self._pool, "GET", f"{realm}?{urlencode(asked)}", headers)) as response:
            content = response.read(LIMITS.token_answer_bytes)
            self._opened.verify_uncut(breaks)
            if response.status != 200:
                raise RegistryError(f"the registry's token service answers {response.status}")
        try:
            document = json.loads(content)
            token = document.get("token") or document["access_token"]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise RegistryError("the registry's token service gives no token") from None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError("the registry's token service gives no token")
        return token
