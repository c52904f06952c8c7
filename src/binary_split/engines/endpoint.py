"""Where an engine listens, and how a connection to it is opened: unix socket, TCP, TCP with TLS, ssh."""

from __future__ import annotations

import shlex
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from binary_split.config import LIMITS, child_environment
from binary_split.errors import ConfigError, EngineProgramMissingError

_PORT = 2375
_TLS_PORT = 2376
_WORDS_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Whom to trust and what to show: paths of PEM files; without ``authority`` the system's are trusted."""

    authority: Path | None
    certificate: Path | None
    key: Path | None

    def make_context(self) -> ssl.SSLContext:
        """Read the files. The server is always verified: it is given plaintext.

        Raises:
            ConfigError: one is missing or is not what it should be.
        """
        try:
            context = ssl.create_default_context(cafile=self.authority)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            folder = (self.authority or self.certificate or Path()).parent
            raise ConfigError(f"cannot use the engine's TLS files in {folder}: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An engine's address, as ``DOCKER_HOST`` has it, and what goes with it.

    Attributes:
        tls: the files by which both sides prove who they are; None: no TLS.
        far_program: what connects to the engine on the far side of ssh.
    """

    address: str
    tls: TlsFiles | None = None
    far_program: str = "docker"

    def __post_init__(self) -> None:
        self.dialler()

    @property
    def is_local(self) -> bool:
        """Whether the engine is on this machine, as far as its address tells."""
        return urlsplit(self.address).scheme == "unix"

    def dialler(self) -> Callable[[float], Connected]:
        """Return what opens a connection, given a timeout in seconds.

        Raises:
            ConfigError: the address is none.
        """
        try:
            parts = urlsplit(self.address)
            port = parts.port
        except ValueError as error:
            raise self._malformed() from error
        if parts.scheme == "unix" and (path := parts.netloc + parts.path):
            return lambda timeout_s: Connected(_dial_unix(path, timeout_s))
        if parts.scheme in {"tcp", "http", "https"} and parts.hostname:
            if self.tls or parts.scheme == "https":
                context = (self.tls or TlsFiles(None, None, None)).make_context()
                return lambda timeout_s: Connected(_dial_tls(parts, context, timeout_s))
            return lambda timeout_s: Connected(_dial_tcp(parts, port or _PORT, timeout_s))
        if parts.scheme == "ssh" and parts.hostname and not parts.hostname.startswith("-"):
            if parts.password:
                raise ConfigError("an engine's address holds a password: use ssh keys")
            return lambda _timeout_s: _dial_ssh(parts, self.far_program)
        raise self._malformed()

    def _malformed(self) -> ConfigError:
        return ConfigError(
            f"not an engine's address: {self.address[:200]!r}",
            hint="Use unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST.",
        )


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
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever reads it last
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


def _dial_unix(path: str, timeout_s: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _dial_tcp(parts: SplitResult, port: int, timeout_s: float) -> socket.socket:
    sock = socket.create_connection((str(parts.hostname), port), timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _dial_tls(parts: SplitResult, context: ssl.SSLContext, timeout_s: float) -> socket.socket:
    sock = _dial_tcp(parts, parts.port or _TLS_PORT, timeout_s)
    try:
        return context.wrap_socket(sock, server_hostname=parts.hostname)
    except BaseException:
        sock.close()
        raise


def _dial_ssh(parts: SplitResult, far_program: str) -> Connected:
    """Start the system's ssh as Docker's own client does: its configuration, keys and known hosts count."""
    far = [far_program]
    if parts.path.strip("/"):  # of the socket, on the far side
        far += ["--url" if far_program == "podman" else "--host", shlex.quote(f"unix://{parts.path}")]
    command = ["ssh", "-o", f"ConnectTimeout={int(LIMITS.engine_connect_timeout_s)}", "-T"]
    if parts.username:
        command += ["-l", parts.username]
    if parts.port:
        command += ["-p", str(parts.port)]
    command += ["--", str(parts.hostname), *far, "system", "dial-stdio"]
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            carrier = Carrier(command, theirs)
        except BaseException:
            ours.close()
            raise
    return Connected(ours, carrier)
