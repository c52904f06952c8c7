"""Whom a client of ours believes to be a server."""

from __future__ import annotations

import ssl
from pathlib import Path

from binary_split.errors import ConfigError


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Return a TLS context, 1.2 or newer, that trusts the CA of a file alone, or else the system's.

    Raises:
        ConfigError: the file cannot be read or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except ssl.SSLError as error:
        raise ConfigError(f"{ca_file} holds no PEM certificate") from error
    except OSError as error:
        raise ConfigError(f"cannot read the CA file {ca_file}: {error.strerror}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The standard library takes SSLKEYLOGFILE from the environment; logged session keys give the token away.
    context.keylog_filename = None  # type: ignore[assignment]
    # Set by Python 3.10 to 3.11.3: a connection that is cut would look like one that was closed.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context
