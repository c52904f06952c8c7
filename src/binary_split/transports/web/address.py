"""The address of a file on a web server, and where it leads, which may be good for some minutes only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from binary_split.config import LIMITS
from binary_split.errors import ArchiveUnreadableError, ConfigError
from binary_split.transports.options import HttpOptions, without_query
from binary_split.transports.web.answers import REDIRECTS, verify_answered, verify_status
from binary_split.transports.web.http_pool import Access, PassingError, asked, origin_of, verify_url
from binary_split.transports.web.open_sockets import OpenSockets
from binary_split.transports.web.own_pools import OwnPools

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_REFUSALS = range(400, 500)


class Address:
    """Asks for one file by its URL, from wherever that leads now; for any number of threads.

    Args:
        url: of the file.
        options: how the server is reached.
        access: opens the file's own origin, where not everybody may read it.
        opened: knows all sockets.
        pools: connections that are there already; None: there are none.

    Attributes:
        name: the URL as it may be told.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        options: HttpOptions,
        access: Access | None,
        opened: OpenSockets,
        pools: OwnPools | None = None,
    ) -> None:
        verify_url(url, insecure_http=options.insecure_http)
        self.name = without_query(url)
        self._url = self._led_to = url
        self._pools = pools or OwnPools(url, options, opened)
        self._options = options
        self._access = access
        self._open = opened

    def beside(self, url: str) -> Address:
        """Return the address of another file of the same server, over the same connections."""
        return Address(url, self._options, self._access, self._open, self._pools)

    def clear(self) -> None:
        """Close the connections that are not in use."""
        self._pools.clear()

    @contextmanager
    def asked(self, headers: dict[str, str]) -> Iterator[BaseHTTPResponse]:
        """Give an answer with bytes of the file.

        Where it was last is asked first. That may be good for minutes only, as object stores sign it, or be
        one of many servers: when it fails the file's own address says anew where to go.

        Args:
            headers: what is asked for.

        Raises:
            PassingError: there is no answer now.
            ArchiveUnreadableError: the server refuses the file, or leads nowhere.
        """
        known = url = self._led_to
        try:
            for _hop in range(LIMITS.http_redirects + 2):
                with self._asked(url, headers) as response:
                    if response.status in REDIRECTS:
                        url = self._follow(url, response.headers.get("Location", ""))
                        continue
                    verify_answered(response)
                    if response.status in _REFUSALS and url == known != self._url:
                        known = url = self._url
                        continue
                    verify_status(response, self.name)
                    self._led_to = url
                    yield response
                    return
        except PassingError:
            self._led_to = self._url
            raise
        raise ArchiveUnreadableError(f"{self.name} leads from one address to the next without an end")

    def _asked(self, url: str, headers: dict[str, str]) -> AbstractContextManager[BaseHTTPResponse]:
        """Give the answer to a GET; who we are is said to the file's own origin alone."""
        access = self._access if origin_of(url) == origin_of(self._url) else None
        return asked(self._pools.of(url), self._open, "GET", url, headers, access=access)

    def _follow(self, url: str, location: str) -> str:
        """Return where a redirect leads: never from https to http, and nowhere with a password."""
        target = urljoin(url, location)
        words = f"{self.name} leads to an address that is not safe"
        if not location or (urlsplit(url).scheme, urlsplit(target).scheme) == ("https", "http"):
            raise ArchiveUnreadableError(f"{words}: {without_query(target)[:200]}")
        try:
            verify_url(target, insecure_http=self._options.insecure_http)
        except ConfigError as error:
            raise ArchiveUnreadableError(f"{words}: {error}") from error
        return target
