"""How servers of archives are reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How a web server is reached.

    Attributes:
        ca_file: the only CA to trust, PEM; None: the system's.
        client_certificate: of this client with its private key, PEM; shown to the archive's own origin only.
        proxy: URL of a proxy; none is taken from the environment.
        bytes_per_s: read no faster; None: as fast as it comes.
        insecure_http: allow plain http beyond loopback: who is on the way can hold it back, not forge it.
    """

    ca_file: Path | None = None
    client_certificate: Path | None = None
    proxy: str | None = None
    bytes_per_s: int | None = None
    insecure_http: bool = False
