"""What each bad key service does to a device at work: nothing. A good one still helps afterwards."""

from __future__ import annotations

import dataclasses
import gzip
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bed.certs import make_authority, make_leaf
from bed.fault_server import FaultServer, Script, answer, head, pour_endlessly
from tests.archives import FRAGMENT
from tests.commandline import Ran
from tests.faults.device import TOKEN, Device
from tests.keyclient.conftest import Pki

pytestmark = pytest.mark.slow  # each test runs the program

OK = answer("200 OK", "Content-Type: application/octet-stream", body=FRAGMENT)
PORTAL = b"<!DOCTYPE html><html><body>Welcome to FreeWifi</body></html>"


class Network:
    """Key services of all kinds, and the device that asks them."""

    def __init__(self, device: Device, folder: Path, stack: ExitStack) -> None:
        authority = make_authority()
        self.pki = Pki(authority, authority.write_certificate(folder / "ca.pem"), folder)
        self.device = device
        self._stack = stack

    def serve(
        self, *scripts: Script, leaf_days: tuple[int, int] | None = None, **more: object
    ) -> FaultServer:
        if leaf_days is not None:
            first, last = leaf_days
            leaf = make_leaf(self.pki.authority, not_before_days=first, not_after_days=last)
            more["tls"] = self.pki.context(leaf)
        more.setdefault("tls", self.pki.context())
        return self._stack.enter_context(FaultServer(*scripts, **more))  # type: ignore[arg-type]

    def unlock(self, url: str, **environment: str) -> Ran:
        token = ["--token-file", self.device.file("token"), "--ca-file", self.pki.ca_file]
        device = dataclasses.replace(self.device, cli=self.device.cli.with_environment(**environment))
        return device.unlock_age(device.age.path, fragment=["--key-service", url, *token])

    def refuses(self, server: FaultServer, status: int, *words: str, asked: int = 1) -> None:
        """Unlock with a fragment of this key service, which must fail; ``asked`` times it sees the token."""
        self.device.assert_refused(self.unlock(server.url()), status, *words)
        assert len(server.requests) == asked
        assert all(TOKEN.encode() in request for request in server.requests)


@pytest.fixture
def network(device: Device, tmp_path: Path) -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(device, tmp_path, stack)


@contextmanager
def closed_port() -> Iterator[int]:
    """Give a port that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.fault(26)
def test_a_refused_connection(network: Network) -> None:
    with closed_port() as port:
        network.device.assert_refused(network.unlock(f"https://localhost:{port}"), 22, "refused")


@pytest.mark.fault(28, 39)
@pytest.mark.parametrize(
    ("days", "words"), [((-20, -1), "has expired"), ((3650, 3660), "not yet valid")], ids=["old", "future"]
)
def test_a_certificate_outside_its_days(network: Network, days: tuple[int, int], words: str) -> None:
    network.refuses(network.serve(OK, leaf_days=days), 24, words, "clock", asked=0)


@pytest.mark.fault(28)
def test_a_self_signed_certificate_and_one_of_another_host(network: Network) -> None:
    self_signed = network.serve(OK, tls=network.pki.context(make_leaf(None)))
    network.refuses(self_signed, 24, "self-signed", asked=0)
    other = make_leaf(network.pki.authority, names=("keys.example",))
    network.refuses(network.serve(OK, tls=network.pki.context(other)), 24, "another host", asked=0)


@pytest.mark.fault(29)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect(network: Network, status: int) -> None:
    other = network.serve(OK, tls=None)
    server = network.serve(answer(f"{status} Moved", f"Location: {other.url()}/binary-split/key-fragment"))
    network.refuses(server, 25, str(status))
    assert other.connections == 0


@pytest.mark.fault(30)
@pytest.mark.parametrize(("status", "code"), [(401, 27), (403, 28), (404, 29)])
def test_a_refusal(network: Network, status: int, code: int) -> None:
    network.refuses(network.serve(answer(f"{status} No")), code)


@pytest.mark.fault(34)
def test_a_body_without_end_and_a_bomb(network: Network) -> None:
    network.refuses(network.serve(pour_endlessly(head("200 OK"), bytes(65536))), 34)
    bomb = gzip.compress(bytes(50_000_000))
    network.refuses(network.serve(answer("200 OK", "Content-Encoding: gzip", body=bomb)), 26)


@pytest.mark.fault(35)
def test_a_portals_page_and_an_empty_body(network: Network) -> None:
    network.refuses(network.serve(answer("200 OK", "Content-Type: text/html", body=PORTAL)), 33)
    network.refuses(network.serve(answer("200 OK")), 32)


@pytest.mark.fault(35)
def test_a_body_shorter_than_it_says(network: Network) -> None:
    network.refuses(network.serve(answer("200 OK", body=FRAGMENT, length=len(FRAGMENT) + 9)), 35, asked=4)


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://keys.example",
        "https://user:hunter2@keys.example",
        "https://169.254.169.254",
    ],
)
def test_a_url_that_no_token_is_sent_to(network: Network, url: str) -> None:
    ran = network.unlock(url)
    network.device.assert_refused(ran, 21)
    assert "hunter2" not in ran.stderr


@pytest.mark.fault(36)
def test_a_netrc_and_proxies_that_somebody_put_there(network: Network, tmp_path: Path) -> None:
    proxy, server = network.serve(OK, tls=None), network.serve(answer("403 No"))
    netrc = tmp_path / "netrc"
    netrc.write_text("default login hostile password hostile\n")
    proxies = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")
    hostile = {"NETRC": str(netrc), **dict.fromkeys(proxies, proxy.url())}
    network.device.assert_refused(network.unlock(server.url(), **hostile), 28)
    assert proxy.connections == 0
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n".encode() in server.requests[0]


@pytest.mark.fault(26, 28, 29, 30, 32, 34, 35, 36, 37, 39)
def test_after_all_of_them_a_good_key_service_helps(network: Network) -> None:
    server = network.serve(answer("503 Later"), OK)
    ran = network.unlock(server.url())
    assert ran.status == 0, ran
    for ref in network.device.age.images:
        assert str(ref) in network.device.bed.image_ids()
    assert len(server.requests) == 2
    network.device.forget_new()
