"""What is known of a connection itself, whatever the requests on it say."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

STATE_KEY = "connection"


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection.

    Attributes:
        is_unix: it came by a unix socket, which file permissions guard.
        certified: the common name, or else the whole subject, of the client's certificate, which TLS
            has verified; empty where there is none.
    """

    is_unix: bool = False
    certified: str = ""


def connection_of(scope: Scope) -> Connection:
    """Return what is known of a request's connection; nothing where another server than ours took it."""
    found = scope.get("state", {}).get(STATE_KEY)
    return found if isinstance(found, Connection) else Connection()


def subject_of(certificate: object) -> str:
    """Return whose a verified certificate is, given as `ssl.SSLSocket.getpeercert` gives it."""
    if not isinstance(certificate, dict) or not certificate:
        return ""
    names = [pair for group in certificate.get("subject", ()) for pair in group]
    for kind, value in names:
        if kind == "commonName" and value:
            return str(value)
    return ", ".join(f"{kind}={value}" for kind, value in names) or "without a name"
