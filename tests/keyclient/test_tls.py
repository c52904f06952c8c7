"""Whom the client believes to be the key service."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import certifi
import pytest

from bed.certs import LOOPBACK_NAMES, make_authority, make_leaf
from bed.fault_server import Peer, answer, head
from binary_split.errors import KeyServiceTlsError
from binary_split.keyclient import fetch_fragment
from binary_split.tls import trust
from tests.keyclient.conftest import FRAGMENT, TOKEN, Client, Pki, Serve

OK = answer("200 OK", body=FRAGMENT)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_name_and_address_in_the_certificate_are_accepted(client: Client, serve: Serve, host: str) -> None:
    assert client.fetch(serve(OK).url(host=host)) == FRAGMENT


@pytest.mark.fault(28, 39)
@pytest.mark.parametrize(
    ("days", "cause"), [((-20, -1), "has expired"), ((3650, 3660), "is not yet valid")], ids=["old", "future"]
)
def test_certificate_outside_its_days_names_the_clock(
    client: Client, serve: Serve, pki: Pki, days: tuple[int, int], cause: str
) -> None:
    leaf = make_leaf(pki.authority, not_before_days=days[0], not_after_days=days[1])
    server = serve(OK, tls=pki.context(leaf))
    before = datetime.now(UTC)
    with pytest.raises(KeyServiceTlsError, match=cause) as caught:
        client.fetch(server.url())
    assert "clock" in caught.value.hint
    assert any(f"{day:%Y-%m-%d}" in caught.value.hint for day in (before, datetime.now(UTC)))
    assert server.connections == 1
    assert server.requests == []


@pytest.mark.fault(28)
def test_self_signed_certificate_is_refused(client: Client, serve: Serve, pki: Pki) -> None:
    server = serve(OK, tls=pki.context(make_leaf(None)))
    with pytest.raises(KeyServiceTlsError, match="self-signed or of an unknown CA"):
        client.fetch(server.url())
    assert (server.connections, server.requests) == (1, [])


@pytest.mark.fault(28)
def test_unknown_ca_is_refused(client: Client, serve: Serve, pki: Pki) -> None:
    server = serve(OK, tls=pki.context(make_leaf(make_authority("Other CA"))))
    with pytest.raises(KeyServiceTlsError, match="unknown CA"):
        client.fetch(server.url())
    assert server.requests == []


def test_unknown_ca_of_the_same_name_is_refused(client: Client, serve: Serve, pki: Pki) -> None:
    server = serve(OK, tls=pki.context(make_leaf(make_authority())))
    with pytest.raises(KeyServiceTlsError):
        client.fetch(server.url())
    assert server.requests == []


@pytest.mark.fault(28)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_certificate_of_another_host_is_refused(client: Client, serve: Serve, pki: Pki, host: str) -> None:
    server = serve(OK, tls=pki.context(make_leaf(pki.authority, names=("keys.example", "192.0.2.1"))))
    with pytest.raises(KeyServiceTlsError, match="for another host"):
        client.fetch(server.url(host=host))
    assert (server.connections, server.requests) == (1, [])


def test_common_name_alone_is_not_enough(client: Client, serve: Serve, pki: Pki) -> None:
    names = tuple(f"not-{name}" for name in LOOPBACK_NAMES[:1])
    server = serve(OK, tls=pki.context(make_leaf(pki.authority, names=names)))
    with pytest.raises(KeyServiceTlsError):
        client.fetch(server.url())


@pytest.mark.fault(28)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_1_is_refused(client: Client, serve: Serve, pki: Pki) -> None:
    context = pki.context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    server = serve(OK, tls=context)
    with pytest.raises(KeyServiceTlsError, match=r"TLS 1\.2"):
        client.fetch(server.url())
    assert (server.connections, server.requests) == (1, [])


def test_tls_1_2_is_accepted(client: Client, serve: Serve, pki: Pki) -> None:
    context = pki.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert client.fetch(serve(OK, tls=context).url()) == FRAGMENT


def test_plain_http_on_the_port_is_named(client: Client, serve: Serve) -> None:
    def refuse_at_once(peer: Peer) -> None:
        peer.send(head("400 Bad Request"))
        peer.pause(1)

    server = serve(refuse_at_once, tls=None)
    with pytest.raises(KeyServiceTlsError, match="does not speak TLS"):
        client.fetch(f"https://localhost:{server.port}")
    assert server.connections == 1


def test_ca_file_is_the_only_ca_trusted(pki: Pki) -> None:
    context = trust(pki.ca_file)
    assert [ca["subject"] for ca in context.get_ca_certs()] == [((("commonName", "Test CA"),),)]
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_nothing_adds_to_the_cas_of_the_context(pki: Pki, serve: Serve) -> None:
    contexts = []

    def remember(ca_file: Path | None) -> ssl.SSLContext:
        contexts.append(trust(ca_file))
        return contexts[0]

    with mock.patch("binary_split.tls.trust", remember):
        fetch_fragment(serve(OK).url(), TOKEN, ca_file=pki.ca_file)
    assert len(contexts[0].get_ca_certs()) == 1


def test_neither_certifi_nor_requests_variables_are_trusted(
    pki: Pki, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = make_authority("Environment CA")
    bundle = str(other.write_certificate(tmp_path / "bundle.pem"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, bundle)
    monkeypatch.setattr(certifi, "where", lambda: bundle)
    server = serve(OK, tls=pki.context(make_leaf(other)))
    for ca_file in (pki.ca_file, None):
        with pytest.raises(KeyServiceTlsError):
            fetch_fragment(server.url(), TOKEN, ca_file=ca_file)
    assert server.requests == []


def test_session_keys_are_logged_nowhere(
    client: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "keys.log"
    server = serve(OK)
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    assert client.fetch(server.url()) == FRAGMENT
    assert "SECRET" not in (log.read_text() if log.exists() else "")
