"""A service's certificate."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from binary_split.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The service's certificate chain and its private key, both PEM."""

    certificate: Path
    key: Path


def tls_files(certificate: Path | None, key: Path | None) -> TlsFiles | None:
    """Return both files, or None where neither is given.

    Raises:
        ConfigError: only one of them is given.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("a certificate and its private key are needed together")
    return TlsFiles(certificate, key)


def tls_context(
    files: TlsFiles, *, client_ca: Path | None = None, is_certificate_optional: bool = False
) -> ssl.SSLContext:
    """Return the server's TLS context: version 1.2 or newer.

    Args:
        files: of the server.
        client_ca: whoever connects needs a certificate that this authority signed; PEM.
        is_certificate_optional: let in who shows none too; a bad one is refused all the same.

    Raises:
        ConfigError: the files cannot be read, or are no certificate with its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in (files.certificate, files.key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    try:
        context.load_cert_chain(files.certificate, files.key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f"{files.certificate} and {files.key} are no certificate with its unencrypted private key, in PEM"
        ) from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConfigError(f"{client_ca} holds no certificates in PEM, or cannot be read") from error
        context.verify_mode = ssl.CERT_OPTIONAL if is_certificate_optional else ssl.CERT_REQUIRED
    return context
