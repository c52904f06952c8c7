"""A requests session whose one connection keeps a deadline.

The time-outs of requests bound each single wait, so a server that sends one byte a second is never late. Here
every wait is given what is left until the deadline: connecting, the TLS handshake (whose time-out the ssl
module applies to the handshake as a whole), each read of the header and of the body.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from binary_split.config import Limits
from binary_split.keyclient.address import Address
from binary_split.keyclient.waiting import Deadline

if TYPE_CHECKING:
    from urllib3.connectionpool import ConnectionPool

    class _Socket(socket.socket):
        """What the mixin below is mixed into, for the type checker."""
else:
    _Socket = object


class _BoundedReads(_Socket):
    """A socket whose reads never wait beyond the deadline. http.client reads by ``recv_into`` alone."""

    next_timeout: Callable[[], float]

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.next_timeout())
        return super().recv_into(*args, **kwargs)


class _TcpSocket(_BoundedReads, socket.socket):
    pass


class _TlsSocket(_BoundedReads, ssl.SSLSocket):
    suppress_ragged_eofs: bool


class _StrictResponse(http.client.HTTPResponse):
    """An answer whose header is well-formed; urllib3 would write the malformed lines to its log."""

    def begin(self) -> None:
        super().begin()
        if self.msg.defects or self.msg.get_payload():
            raise http.client.HTTPException("malformed header")


class _Connection(HTTPConnection):
    response_class = _StrictResponse

    def __init__(self, *args: Any, deadline: Deadline, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connect_timeout = partial(deadline.bound, limits.connect_timeout_s)
        self._read_timeout = partial(deadline.bound, limits.read_timeout_s)

    def _new_conn(self) -> socket.socket:
        """Connect to the first of the host's addresses that answers, all of them within the deadline.

        Only the system's resolver bounds its own time (resolv.conf(5): timeout, attempts): it takes no limit.
        """
        failure: OSError | None = None
        host = self._dns_host.strip("[]")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, self.port, type=socket.SOCK_STREAM
        ):
            sock = _TcpSocket(family, kind, protocol)
            sock.next_timeout = self._read_timeout
            try:
                sock.settimeout(self._connect_timeout())
                sock.connect(address)
                sock.settimeout(self._connect_timeout())  # for the TLS handshake, if one follows
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise failure or OSError("the name has no address")


class _TlsConnection(_Connection, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        if isinstance(self.sock, _TlsSocket):
            self.sock.next_timeout = self._read_timeout
            # A body that ends with the connection is whole only after TLS's goodbye (RFC 9112, section 9.8).
            self.sock.suppress_ragged_eofs = False


class _Adapter(HTTPAdapter):
    """Gives requests our pool, whatever it was told about proxies and certificates."""

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__()
        self._pool = pool

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,  # noqa: ARG002 - requests' signature
        verify: bool | str | None,  # noqa: ARG002, FBT001
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002
        cert: tuple[str, str] | str | None = None,  # noqa: ARG002
    ) -> ConnectionPool:
        return self._pool

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Add nothing: requests would add certifi's CAs to those that our context trusts."""

    def close(self) -> None:
        super().close()
        self._pool.close()


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - requests' signature
        """Find none: of a redirect requests reads the whole body, even when told not to follow it."""
        return


def open_session(
    address: Address, context: ssl.SSLContext | None, deadline: Deadline, limits: Limits
) -> requests.Session:
    """Return a session that can reach one origin and takes no netrc, proxy or CA from outside."""
    pool: HTTPConnectionPool
    if context is None:
        pool = HTTPConnectionPool(address.host, address.port)
        pool.ConnectionCls = partial(_Connection, deadline=deadline, limits=limits)  # type: ignore[assignment]
    else:
        context.sslsocket_class = _TlsSocket
        pool = HTTPSConnectionPool(address.host, address.port, ssl_context=context)
        pool.ConnectionCls = partial(_TlsConnection, deadline=deadline, limits=limits)  # type: ignore[assignment]
    session = _Session()
    session.trust_env = False
    session.headers.clear()
    session.mount(f"{address.scheme}://", _Adapter(pool))
    return session
