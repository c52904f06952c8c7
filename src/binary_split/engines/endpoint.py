"""Where an engine listens: an address as ``DOCKER_HOST`` has it, and what is needed to connect to it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from binary_split.engines.dialling import Connected, dial_ssh, dial_tcp, dial_tls, dial_unix
from binary_split.errors import ConfigError

Dial = Callable[[float], Connected]
"""Opens a connection, given a timeout in seconds."""


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
        except OSError as error:  # ssl.SSLError is one
            folder = (self.authority or self.certificate or Path()).parent
            raise ConfigError(f"cannot use the engine's TLS files in {folder}: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An engine's address and what goes with it.

    Attributes:
        address: ``unix:///PATH``, ``tcp://HOST:PORT`` or ``ssh://USER@HOST:PORT[/PATH]``.
        tls: the files by which both sides prove who they are; None: no TLS.
        far_program: what connects to the engine on the far side of ssh.
    """

    address: str
    tls: TlsFiles | None = None
    far_program: str = "docker"

    @property
    def is_local(self) -> bool:
        """Whether the engine is on this machine, as far as its address tells."""
        return self.address.startswith("unix:")

    def dialler(self) -> Dial:
        """Return what opens connections.

        Raises:
            ConfigError: the address is none, or the TLS files cannot be used.
        """
        try:
            address = urlsplit(self.address)
            host, _port = address.hostname, address.port
        except ValueError as error:
            raise self._malformed() from error
        if address.scheme == "unix" and (path := address.netloc + address.path):
            return lambda timeout_s: dial_unix(path, timeout_s)
        if address.scheme in {"tcp", "http", "https"} and host:
            if self.tls is None and address.scheme != "https":
                return lambda timeout_s: dial_tcp(address, timeout_s)
            context = (self.tls or TlsFiles(None, None, None)).make_context()
            return lambda timeout_s: dial_tls(address, context, timeout_s)
        if address.scheme == "ssh" and host and not host.startswith("-"):
            if address.password:
                raise ConfigError("an engine's address holds a password: use ssh keys")
            return lambda _timeout_s: dial_ssh(address, self.far_program)
        raise self._malformed()

    def _malformed(self) -> ConfigError:
        return ConfigError(
            f"not an engine's address: {self.address[:200]!r}",
            hint="Use unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST.",
        )
