"""Opening connections: unix socket, TCP, TLS over it, and ssh, which is a child that carries one."""

from __future__ import annotations

import shlex
import socket
import ssl
import subprocess
import tempfile
import threading
from contextlib import suppress
from urllib.parse import SplitResult

from binary_split.config import LIMITS, child_environment
from binary_split.errors import EngineProgramMissingError

_PORT = 2375
_TLS_PORT = 2376
_WORDS_TIMEOUT_S = 2.0


class Connected:
    """An open connection: its socket and, behind one, the program that carries it."""

    def __init__(self, sock: socket.socket, carrier: Carrier | None = None) -> None:
        self.socket = sock
        self._carrier = carrier

    def end(self) -> None:
        """Wake up, from another thread, whoever waits for this connection; it is of no more use."""
        with suppress(OSError):
            # Not the method of a TLS socket, which would make its other user speak plaintext.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)
        if self._carrier:
            self._carrier.end()

    def last_words(self) -> str:
        """Return what the program that carried the connection said when it ended; empty without one."""
        return self._carrier.last_words() if self._carrier else ""


class Carrier:
    """A child that carries a connection over its stdin and stdout; it ends when the connection does."""

    def __init__(self, command: list[str], end: socket.socket) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the thread that reads it
        try:
            self._process = subprocess.Popen(
                command,
                stdin=end.fileno(),
                stdout=end.fileno(),
                stderr=self._stderr,
                env=child_environment(),
                start_new_session=True,  # Ctrl-C is for us: we end it
            )
        except OSError as error:
            self._stderr.close()
            raise EngineProgramMissingError(
                f"cannot run {command[0]}: {error.strerror or error}", hint=f"Install {command[0]}."
            ) from error
        self._words = ""
        self._reaper = threading.Thread(target=self._reap, daemon=True)
        self._reaper.start()

    def end(self) -> None:
        """End the program now."""
        self._process.terminate()

    def last_words(self) -> str:
        """Return what it wrote on stderr, once it has ended."""
        self._reaper.join(_WORDS_TIMEOUT_S)
        return self._words

    def _reap(self) -> None:
        self._process.wait()
        with self._stderr as file:
            file.seek(0)
            self._words = file.read(LIMITS.engine_error_bytes).decode(errors="replace").strip()


def dial_unix(path: str, timeout_s: float) -> Connected:
    """Connect to a socket on this machine."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return Connected(sock)


def dial_tcp(address: SplitResult, timeout_s: float, *, default_port: int = _PORT) -> Connected:
    """Connect over the network."""
    sock = socket.create_connection((str(address.hostname), address.port or default_port), timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Connected(sock)


def dial_tls(address: SplitResult, context: ssl.SSLContext, timeout_s: float) -> Connected:
    """Connect over the network, ready for the handshake, which the caller does: it may take long."""
    sock = dial_tcp(address, timeout_s, default_port=_TLS_PORT).socket
    try:
        secured = context.wrap_socket(sock, server_hostname=address.hostname, do_handshake_on_connect=False)
    except BaseException:
        sock.close()
        raise
    return Connected(secured)


def dial_ssh(address: SplitResult, far_program: str) -> Connected:
    """Start the system's ssh as Docker's own client does: its configuration, keys and known hosts count."""
    far = [far_program]
    if address.path.strip("/"):  # of the socket, on the far side
        far += ["--url" if far_program == "podman" else "--host", shlex.quote(f"unix://{address.path}")]
    command = ["ssh", "-o", f"ConnectTimeout={int(LIMITS.engine_connect_timeout_s)}", "-T"]
    if address.username:
        command += ["-l", address.username]
    if address.port:
        command += ["-p", str(address.port)]
    command += ["--", str(address.hostname), *far, "system", "dial-stdio"]
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            carrier = Carrier(command, theirs)
        except BaseException:
            ours.close()
            raise
    return Connected(ours, carrier)
