"""A TCP or TLS server on loopback that misbehaves as it is told, one script for each connection."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Iterator

from bed.threads import ThreadServer

_SOCKET_TIMEOUT_S = 5.0
_REQUEST_MAX = 64 * 1024


class Peer:
    """The server's end of one connection, given to a script."""

    def __init__(self, sock: socket.socket, server: FaultServer) -> None:
        self._sock = sock
        self._server = server

    def read_request(self) -> bytes:
        """Read a request, record it, and return it; what came where the client left early."""
        request = b""
        while not _is_whole(request) and len(request) < _REQUEST_MAX:
            part = self._sock.recv(4096)
            if not part:
                break
            request += part
        if request:
            self._server.requests.append(request)
        return request

    def fileno(self) -> int:
        """Return the descriptor, to wait for it."""
        return self._sock.fileno()

    def has_certificate(self) -> bool:
        """Whether the client has shown a certificate."""
        return isinstance(self._sock, ssl.SSLSocket) and bool(self._sock.getpeercert())

    def receive(self) -> bytes:
        """Return what comes next, whatever it is; nothing at the end."""
        return self._sock.recv(_REQUEST_MAX)

    def send(self, content: bytes) -> None:
        """Send all of it and count it."""
        view = memoryview(content)
        while view:
            sent = self._sock.send(view)
            self._server.sent_bytes += sent
            view = view[sent:]

    def drip(self, content: bytes, *, pause_s: float) -> None:
        """Send one byte at a time until the client is gone or the server stops."""
        for byte in content:
            self.send(bytes([byte]))
            if self.pause(pause_s):
                return

    def pause(self, seconds: float) -> bool:
        """Wait; return True as soon as the server stops."""
        return self._server.stopping.wait(seconds)

    def hang_up(self) -> None:
        """End the TCP stream without TLS's goodbye."""
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def reset(self) -> None:
        """Close so that the client sees a reset, not an end."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._sock.close()


def _is_whole(request: bytes) -> bool:
    """Whether the header is there, and the body if the header says its length."""
    header, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: ([0-9]+)", header, re.IGNORECASE)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


Script = Callable[[Peer], None]


class FaultServer(ThreadServer):
    """Runs one script for each connection, in order; the last one serves all further connections.

    Attributes:
        requests: each request, raw.
        connections: how many were accepted, before any TLS handshake.
        sent_bytes: how many bytes of answers the kernel took.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        super().__init__(listener)
        self.requests: list[bytes] = []
        self.sent_bytes = 0
        self.port: int = listener.getsockname()[1]
        self._scripts = scripts
        self._tls = tls

    def url(self, *, host: str = "localhost") -> str:
        """Return the base URL, by a name that both the client and the certificates know."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def _serve(self, sock: socket.socket, number: int) -> None:
        script = self._scripts[min(number, len(self._scripts) - 1)]
        # The client leaves in the middle of most scripts: that is what they are for.
        with contextlib.suppress(OSError), self._secured(sock) as secured:
            script(Peer(secured, self))
            if isinstance(secured, ssl.SSLSocket) and secured.fileno() != -1:
                secured.unwrap()

    @contextlib.contextmanager
    def _secured(self, sock: socket.socket) -> Iterator[socket.socket]:
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(_SOCKET_TIMEOUT_S)  # no thread outlives its test by more than this
            if self._tls is None:
                yield sock
            else:
                with self._tls.wrap_socket(sock, server_side=True) as secured:
                    yield secured


def answer(status: str, *headers: str, body: bytes = b"", length: int | None = None) -> Script:
    """Return the script of a plain answer.

    Args:
        status: such as ``200 OK``.
        headers: whole header lines.
        body: what follows the header.
        length: the Content-Length to claim; None claims the true one.
    """
    return say(head(status, *headers, f"Content-Length: {len(body) if length is None else length}") + body)


def head(status: str, *headers: str) -> bytes:
    """Return an answer's header, complete."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def say(content: bytes) -> Script:
    """Return the script that reads a request, sends these bytes and closes."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(content)

    return script


def drip_after_request(prompt: bytes, slow: bytes, *, pause_s: float = 0.05) -> Script:
    """Return the script that sends the first bytes at once and the others one by one."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(prompt)
        peer.drip(slow, pause_s=pause_s)

    return script


def pour_endlessly(prompt: bytes, chunk: bytes) -> Script:
    """Return the script that never stops sending by itself."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(prompt)
        while not peer.pause(0):
            peer.send(chunk)

    return script


@contextlib.contextmanager
def packets_dropped() -> Iterator[int]:
    """Give a port whose accept queue is full: Linux drops further SYNs, as a firewall would."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
