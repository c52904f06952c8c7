from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from binary_split.keyservice.serve import (
    TlsFiles,
    build_server,
    listener_url,
    open_listener,
    run_server,
    tls_context,
)
from binary_split.keyservice.state import create_state, open_state
from binary_split.keyservice.store import Store
from binary_split.model import Fragment

FRAGMENT = bytes(range(32))
HOUR = timedelta(hours=1)


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@dataclass
class Service:
    """A running key service, and a client that trusts its certificate."""

    url: str
    store: Store
    client: requests.Session

    def ask(
        self, token: str | None = None, *, path: str = "/binary-split/key-fragment", method: str = "GET"
    ) -> requests.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.client.request(
            method, self.url + path, headers=headers, timeout=10, allow_redirects=False
        )

    def issue(self, key_id: str = "k1", *, lifetime: timedelta = HOUR) -> str:
        return self.store.tokens.issue(key_id, lifetime=lifetime).text


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "key service")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + 24 * HOUR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = TlsFiles(folder / "cert.pem", folder / "key.pem")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@pytest.fixture(scope="session")
def _pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one state for all tests to copy: alembic takes its time."""
    folder = tmp_path_factory.mktemp("pristine") / "state"
    create_state(folder)
    return folder


@pytest.fixture
def state(_pristine: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    for file in _pristine.iterdir():
        copy = folder / file.name
        copy.touch(mode=0o600)
        copy.write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def store(state: Path, clock: Hands) -> Iterator[Store]:
    store = open_state(state, clock=clock, busy_timeout_s=0.2)
    store.keys.add("k1", Fragment(FRAGMENT))
    yield store
    store.close()


@contextmanager
def running(store: Store, tls: TlsFiles) -> Iterator[Service]:
    listener = open_listener("127.0.0.1", 0, plain=False)
    server = build_server(store, tls_context(tls))
    thread = threading.Thread(target=run_server, args=(server, listener))
    thread.start()
    with requests.Session() as client:
        client.verify = str(tls.certificate)
        client.trust_env = False
        yield Service(listener_url(listener, plain=False), store, client)
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
def service(store: Store, tls: TlsFiles) -> Iterator[Service]:
    with running(store, tls) as service:
        yield service


@pytest.fixture
def trusting(tls: TlsFiles) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(tls.certificate))
