"""The socket on which the service listens; plain http gets none beyond loopback."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from binary_split.errors import ConfigError

LISTEN_ERRORS = (OSError, UnicodeError)
"""What comes of an address that cannot be had; a UnicodeError of a name that is none, such as ``a..b``."""

_BACKLOG = 4096  # the kernel takes its own limit where that is less
_UNIX_MODE = 0o660


def open_listener(host: str, port: int, *, plain: bool) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigError: the address cannot be had, or ``plain`` is asked for beyond loopback.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The numeric address is the one that is judged and the one that is bound: no name is asked twice.
        if plain and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
            raise ConfigError(
                f"plain http on {host} would show tokens and fragments to the network",
                hint="Give --tls-cert and --tls-key, or listen on 127.0.0.1.",
            )
        listener = socket.create_server((str(address[0]), port), family=family, backlog=_BACKLOG)
    except LISTEN_ERRORS as error:
        raise cannot_listen(host, port, error) from error
    # Inherited by each connection. asyncio leaves it off here, and every answer would wait 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def cannot_listen(host: str, port: int, error: Exception) -> ConfigError:
    """Return our error for one of `LISTEN_ERRORS`."""
    reason = error.strerror if isinstance(error, OSError) else "it is no host name"
    return ConfigError(f"cannot listen on {host} port {port}: {reason}")


@contextmanager
def unix_listener(path: Path) -> Iterator[socket.socket]:
    """Give a listening socket in the file system, open to its owner and group; it is removed in the end.

    Raises:
        ConfigError: there is something else at the path, or it cannot be made.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        try:
            if path.is_socket() and not _answers(path):
                path.unlink()  # of a process that was killed
            listener.bind(str(path))
            path.chmod(_UNIX_MODE)  # before it listens: nobody comes in between
            listener.listen(_BACKLOG)
        except OSError as error:
            reason = "something is there already" if error.errno == errno.EADDRINUSE else error.strerror
            raise ConfigError(f"cannot listen on {path}: {reason or error}") from error
        try:
            yield listener
        finally:
            with suppress(OSError):
                path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def listener_url(listener: socket.socket, *, plain: bool) -> str:
    """Return the URL at which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"{'http' if plain else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"
