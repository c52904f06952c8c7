"""Which of our errors a library's exception is. Its own text is never repeated: it may hold the request."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import RemoteDisconnected

import requests

from binary_split.errors import (
    FragmentTruncatedError,
    KeyServiceAnswerError,
    KeyServiceError,
    KeyServiceTimeoutError,
    KeyServiceTlsError,
    KeyServiceUnreachableError,
)
from binary_split.keyclient.waiting import Deadline

# Verification results of X509_STORE_CTX_get_error(3).
_EXPIRED = 10
_NOT_YET_VALID = 9
_UNKNOWN_ISSUER = {2, 18, 19, 20, 21}
_WRONG_HOST = {62, 64}


def explain_failure(
    error: BaseException, *, host: str, answered: bool, deadline: Deadline
) -> KeyServiceError:
    """Return the error to raise for what a library raised.

    Args:
        error: the library's exception.
        host: whom we spoke to.
        answered: the header of an answer had come already.
        deadline: tells a slow whole from a single late byte.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, TimeoutError):
            return _late(deadline)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(cause, host)
        if isinstance(cause, ssl.SSLError) and not _is_cut_off(cause):
            return _tls_failed(cause, host)
    if answered:
        return FragmentTruncatedError(f"the connection to {host} ended before the whole answer had come")
    for cause in causes:
        if isinstance(cause, OSError):
            return _unreachable(cause, host)
    return KeyServiceAnswerError(f"the answer of {host} is not HTTP, or malformed")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that it wraps, in whichever of four ways its library does that.

    requests' own exceptions are left out: every one of them is an OSError by class, none by cause.
    """
    found: list[BaseException] = [error]
    for cause in found:
        wrapped = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        found += [each for each in wrapped if isinstance(each, BaseException) and each not in found]
    return (cause for cause in found if not isinstance(cause, requests.RequestException))


def _is_cut_off(error: OSError) -> bool:
    """Whether the peer hung up in the middle of TLS; Python up to 3.11.3 tells by the reason alone."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return True
    return isinstance(error, ssl.SSLError) and error.reason == "UNEXPECTED_EOF_WHILE_READING"


def _late(deadline: Deadline) -> KeyServiceTimeoutError:
    if deadline.remaining() <= 0:
        return KeyServiceTimeoutError("the key service did not answer completely before the deadline")
    return KeyServiceTimeoutError("the key service did not answer in time")


def _unreachable(error: OSError, host: str) -> KeyServiceUnreachableError:
    if isinstance(error, socket.gaierror):
        return KeyServiceUnreachableError(f"the name {host} cannot be resolved")
    if isinstance(error, RemoteDisconnected) or _is_cut_off(error):
        return KeyServiceUnreachableError(f"{host} closed the connection without an answer")
    why = os.strerror(error.errno) if error.errno else "the connection failed"
    return KeyServiceUnreachableError(f"no connection to {host}: {why}")


def _untrusted(error: ssl.SSLCertVerificationError, host: str) -> KeyServiceTlsError:
    whose = f"the certificate of {host}"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    if error.verify_code == _EXPIRED:
        return KeyServiceTlsError(
            f"{whose} has expired",
            hint=f"This machine's clock says {today}: correct it if that is wrong, else tell the vendor.",
        )
    if error.verify_code == _NOT_YET_VALID:
        return KeyServiceTlsError(
            f"{whose} is not yet valid",
            hint=f"This machine's clock says {today}: correct it; after a power loss it may be years behind.",
        )
    if error.verify_code in _UNKNOWN_ISSUER:
        return KeyServiceTlsError(
            f"{whose} is self-signed or of an unknown CA",
            hint="Give the service's own CA with --ca-file; if it has none, somebody may be in between.",
        )
    if error.verify_code in _WRONG_HOST:
        return KeyServiceTlsError(
            f"{whose} is for another host",
            hint="Use the host name that the certificate was issued for.",
        )
    return KeyServiceTlsError(f"{whose} cannot be verified: {error.verify_message}")


def _tls_failed(error: ssl.SSLError, host: str) -> KeyServiceTlsError:
    reason = error.reason or ""
    if "PROTOCOL" in reason:
        return KeyServiceTlsError(
            f"{host} does not speak TLS 1.2 or newer",
            hint="Tell the vendor: the key service's TLS is too old.",
        )
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return KeyServiceTlsError(
            f"{host} does not speak TLS on this port", hint="Check the port in the key service's URL."
        )
    words = reason.replace("_", " ").lower()
    return KeyServiceTlsError(f"TLS with {host} failed: {words or 'no reason given'}")
