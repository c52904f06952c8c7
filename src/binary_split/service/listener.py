"""The socket on which the service listens; plain http gets none beyond loopback."""

from __future__ import annotations

import ipaddress
import socket

from binary_split.errors import ConfigError

_BACKLOG = 4096  # the kernel takes its own limit where that is less


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
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    # Inherited by each connection. asyncio leaves it off here, and every answer would wait 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def listener_url(listener: socket.socket, *, plain: bool) -> str:
    """Return the URL at which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"{'http' if plain else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"
