"""How servers of archives are reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Note = Callable[[str], None]
"""Is told what the person should know and nothing fails of; from any thread."""


def tell_nobody(_text: str) -> None:
    """Be the note for whoever does not want to know."""


def without_query(url: str) -> str:
    """Return a URL as it may be told: the query may be a signature, with which anybody may read."""
    return url.partition("?")[0]


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """Where blocks of archives are kept for another run, and how many bytes of them."""

    folder: Path
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where else is what lies below a location.

    Attributes:
        location: how the place of an archive begins.
        places: what may stand there instead, in the order in which they are asked.
        ca_file: the only CA to trust for them, PEM; None: as for the archive's own server.
        insecure_http: allow plain http to them beyond loopback.
    """

    location: str
    places: tuple[str, ...]
    ca_file: Path | None = None
    insecure_http: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How a web server is reached.

    Attributes:
        ca_file: the only CA to trust, PEM; None: the system's.
        client_certificate: of this client with its private key, PEM; shown to the archive's own origin only.
        proxy: URL of a proxy; none is taken from the environment.
        proxy_login_file: holds its ``USER:PASSWORD``.
        bytes_per_s: read no faster; None: as fast as it comes.
        deadline_s: until an archive that was opened is read no more; None: there is none but for silence.
        insecure_http: allow plain http beyond loopback: who is on the way can hold it back, not forge it.
        cache: keeps blocks that were authentic for another run; None: none are kept.
        mirrors: are asked before the archive's own server.
        note: is told where a place or a cache fails and the archive is read on all the same, and where the
            archive is looked for longer than a moment.
    """

    ca_file: Path | None = None
    client_certificate: Path | None = None
    proxy: str | None = None
    proxy_login_file: Path | None = None
    bytes_per_s: int | None = None
    deadline_s: float | None = None
    insecure_http: bool = False
    cache: CacheOptions | None = None
    mirrors: tuple[Mirror, ...] = ()
    note: Note = field(default=tell_nobody, compare=False, repr=False)
