"""What a service's certificate says: for whom it is, until when, and by whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography.x509 import (
    Certificate,
    DNSName,
    ExtensionNotFound,
    IPAddress,
    SubjectAlternativeName,
    load_der_x509_certificate,
)

from binary_split.config import LIMITS
from binary_split.doctor.finding import Judgement, doubtful, good

_SHOWN_NAMES = 6
_NAME_CHARS = 80


def judge_certificate(der: bytes) -> Judgement:
    """Judge how long a certificate that was verified will be valid."""
    certificate = _parse(der)
    if certificate is None:
        return good("it proves who the key service is")
    left = (certificate.not_valid_after_utc - datetime.now(UTC)) // timedelta(days=1)
    words = f"valid for {left} more days; {describe_certificate(der)}"
    if left < LIMITS.doctor_certificate_days:
        return doubtful(words, "Tell the vendor to renew the key service's certificate; check the clock too.")
    return good(words)


def describe_certificate(der: bytes) -> str:
    """Return a certificate in words, which are its maker's; empty where it cannot be read."""
    certificate = _parse(der)
    if certificate is None:
        return ""
    names = _names(certificate)
    shown = ", ".join(name[:_NAME_CHARS] for name in names[:_SHOWN_NAMES])
    issuer = certificate.issuer.rfc4514_string()[:_NAME_CHARS]
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return f"for {shown or 'no name'}, from {first:%Y-%m-%d} to {last:%Y-%m-%d}, issued by {issuer}"


def is_of_today(der: bytes) -> bool:
    """Whether a certificate is valid now, as far as its dates go and this machine's clock is right."""
    certificate = _parse(der)
    if certificate is None:
        return False
    return certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc


def _parse(der: bytes) -> Certificate | None:
    try:
        return load_der_x509_certificate(der)
    except ValueError:
        return None


def _names(certificate: Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except (ExtensionNotFound, ValueError):
        return []
    return [*names.get_values_for_type(DNSName), *map(str, names.get_values_for_type(IPAddress))]
