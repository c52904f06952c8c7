"""The place of an artifact in a registry, and which server it means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from binary_split.errors import ConfigError

_REFERENCE = re.compile(
    r"oci://(?P<host>[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9a-f:]+\](:[0-9]{1,5})?)"
    r"/(?P<repository>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?")
_HUB = "registry-1.docker.io"
_HUB_NAMES = ("docker.io", "index.docker.io", _HUB)
_HUB_LOGIN = "https://index.docker.io/v1/"
"""Under which `docker login` without a host has kept logins since there was a version 1."""


@dataclass(frozen=True, slots=True)
class RegistryReference:
    """The place of an artifact: ``oci://HOST/REPOSITORY:TAG``, or ``@sha256:…``.

    Attributes:
        host: as it was written, for errors and logins.
        repository: as it was written.
        name: tag or digest.
    """

    host: str
    repository: str
    name: str

    @classmethod
    def parse(cls, text: str) -> RegistryReference:
        """Parse a reference; the digest, which leaves nothing open, comes before the tag.

        Raises:
            ConfigError: it is none.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise ConfigError(
                f"not a place in a registry: {text[:200]!r}", hint="Write oci://HOST/REPOSITORY:TAG."
            )
        return cls(match["host"], match["repository"], match["digest"] or match["tag"] or "latest")

    def __str__(self) -> str:
        mark = "@" if self.name.startswith("sha256:") else ":"
        return f"oci://{self.host}/{self.repository}{mark}{self.name}"

    @property
    def server(self) -> str:
        """Who is spoken to: the host, but Docker Hub's registry has another name than it goes by."""
        return _HUB if self._is_in_hub else self.host

    @property
    def path(self) -> str:
        """The repository as the server knows it: in Docker Hub a single word is of ``library``."""
        is_short = self._is_in_hub and "/" not in self.repository
        return f"library/{self.repository}" if is_short else self.repository

    @property
    def login_names(self) -> tuple[str, ...]:
        """Under which names of the host a login may stand."""
        return (_HUB_LOGIN, *_HUB_NAMES) if self._is_in_hub else (self.host,)

    @property
    def is_on_loopback(self) -> bool:
        """Whether it never leaves this machine."""
        return _LOOPBACK.fullmatch(self.host) is not None

    @property
    def _is_in_hub(self) -> bool:
        return self.host.lower() in _HUB_NAMES
