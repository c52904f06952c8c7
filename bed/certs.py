"""Certificates for tests: a CA and leaves that are right, or wrong in exactly one way."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate, without the key."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key, PKCS#8 without a passphrase."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def write_certificate(self, path: Path) -> Path:
        """Write the certificate alone, for whoever is to trust it."""
        path.write_bytes(self.certificate_pem)
        return path

    def server_context(self, folder: Path) -> ssl.SSLContext:
        """Return a server's TLS context; the key passes through a file in ``folder``, as ssl wants it."""
        path = folder / f"{self.certificate.serial_number:x}.pem"
        path.write_bytes(self.certificate_pem + self.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def make_authority(name: str = "Test CA") -> Identity:
    """Make a CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, name, _days_from_now(-30), _days_from_now(30))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(ca=True), critical=True)
    return Identity(builder.sign(key, hashes.SHA256()), key)


def make_leaf(
    authority: Identity | None,
    *,
    names: tuple[str, ...] = LOOPBACK_NAMES,
    not_before_days: int = -10,
    not_after_days: int = 10,
) -> Identity:
    """Make a server's certificate, valid between two days counted from now.

    Args:
        authority: the CA that signs it; None makes it self-signed.
        names: host names and IP addresses that it is for.
        not_before_days: first day.
        not_after_days: last day.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = "self" if authority is None else authority.certificate.subject.rfc4514_string()[3:]
    signing_key = key if authority is None else authority.key
    validity = _days_from_now(not_before_days), _days_from_now(not_after_days)
    builder = _builder("self" if authority is None else "leaf", key, issuer, *validity)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(ca=False), critical=True)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False
    )
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    builder = builder.add_extension(issuer_key, critical=False)
    return Identity(builder.sign(signing_key, hashes.SHA256()), key)


def _builder(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, first: datetime, last: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _days_from_now(days: int) -> datetime:
    return datetime.now(UTC) + days * _DAY
