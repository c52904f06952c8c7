"""Where the service listens, and with which TLS."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import serialization

from binary_split.errors import ConfigError
from binary_split.service.listener import listener_url, open_listener
from binary_split.service.metrics import RequestMetrics, metrics_listener
from binary_split.service.tls import TlsFiles, tls_context, tls_files
from tests.keyservice.conftest import Service


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_plain_http_beyond_loopback_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="plain http"):
        open_listener(host, 0, plain=True)


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("::1", "[::1]")]
)
def test_plain_http_on_loopback_is_allowed_and_its_url_is_the_real_one(host: str, shown: str) -> None:
    with open_listener(host, 0, plain=True) as listener:
        port = listener.getsockname()[1]
        assert port > 0
        assert listener_url(listener, plain=True) == f"http://{shown}:{port}"


def test_an_answer_is_not_held_back_for_an_acknowledgement() -> None:
    with open_listener("127.0.0.1", 0, plain=True) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_address_that_cannot_be_had_is_named() -> None:
    with open_listener("127.0.0.1", 0, plain=True) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}"):
            open_listener("127.0.0.1", port, plain=True)
    with pytest.raises(ConfigError, match="cannot listen"):
        open_listener("192.0.2.1", 0, plain=False)
    with pytest.raises(ConfigError, match="no host name"):
        open_listener("a..b", 0, plain=False)
    with pytest.raises(ConfigError, match="no host name"), metrics_listener(RequestMetrics(), ("a..b", 0)):
        pass


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_1_is_refused(service: Service, trusting: ssl.SSLContext) -> None:
    url = urlsplit(service.url)
    trusting.set_ciphers("DEFAULT@SECLEVEL=0")  # else our own OpenSSL would not even ask
    trusting.minimum_version = trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection((str(url.hostname), url.port or 0), timeout=10) as plain,
        pytest.raises(ssl.SSLError),  # the server sends an alert or just hangs up
    ):
        trusting.wrap_socket(plain, server_hostname="127.0.0.1")


def test_tls_1_2_is_spoken(service: Service, trusting: ssl.SSLContext) -> None:
    url = urlsplit(service.url)
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    address = (str(url.hostname), url.port or 0)
    with (
        socket.create_connection(address, timeout=10) as plain,
        trusting.wrap_socket(plain, server_hostname="127.0.0.1") as stream,
    ):
        assert stream.version() == "TLSv1.2"


def test_the_context_states_tls_1_2_as_its_minimum(tls: TlsFiles) -> None:
    assert tls_context(tls).minimum_version == ssl.TLSVersion.TLSv1_2


def test_http_on_the_https_port_gets_no_answer(service: Service) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(service.url.replace("https:", "http:") + "/healthz", timeout=10)


def test_a_certificate_without_its_key_is_refused(tls: TlsFiles) -> None:
    assert tls_files(None, None) is None
    assert tls_files(tls.certificate, tls.key) == tls
    for certificate, key in ((tls.certificate, None), (None, tls.key)):
        with pytest.raises(ConfigError, match="together"):
            tls_files(certificate, key)


def test_tls_files_that_do_not_work_are_named_before_anything_listens(tls: TlsFiles, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none"):
        tls_context(TlsFiles(tmp_path / "none", tls.key))
    with pytest.raises(ConfigError, match="PEM"):
        tls_context(TlsFiles(tls.key, tls.certificate))
    key = serialization.load_pem_private_key(tls.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    with pytest.raises(ConfigError, match="unencrypted"):
        tls_context(TlsFiles(tls.certificate, locked))
