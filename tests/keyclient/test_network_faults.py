"""Connections that do not come about, break, or drip."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bed.fault_server import Peer, Script, answer, drip_after_request, head, packets_dropped, say
from binary_split.config import Limits
from binary_split.errors import (
    FragmentTruncatedError,
    KeyServiceAnswerError,
    KeyServiceTimeoutError,
    KeyServiceUnavailableError,
    KeyServiceUnreachableError,
    RateLimitedError,
    TokenRejectedError,
)
from binary_split.keyclient import fetch_fragment
from tests.keyclient.conftest import FRAGMENT, TOKEN, Client, Serve

pytestmark = pytest.mark.slow  # they wait for deadlines

OK = answer("200 OK", body=FRAGMENT)
DEADLINE_S = 0.3
AT_MOST_S = 4.0  # generous: what matters is that a drip of minutes ends at all


@pytest.fixture
def hurried(client: Client) -> Client:
    client.limits = Limits(fetch_deadline_s=DEADLINE_S)
    return client


@pytest.fixture
def fetch_in_fake_time(client: Client) -> Callable[..., object]:
    """Fetch with a clock that moves only while sleeping."""
    now = [1000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def fetch(url: str, *, limits: Limits) -> object:
        return fetch_fragment(
            url, TOKEN, ca_file=client.ca_file, limits=limits, sleep=sleep, clock=lambda: now[0]
        )

    return fetch


@pytest.mark.fault(26)
def test_refused_connection_is_tried_again_and_named(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(KeyServiceUnreachableError, match="refused"):
        client.fetch(f"https://localhost:{port}")
    assert len(client.sleeps) == client.limits.fetch_attempts - 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_first_address_that_answers_is_used(
    client: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    server = serve(OK, host=host)
    resolve = socket.getaddrinfo

    def resolve_to_both(name: str, port: int, *args: int, **options: int) -> list[object]:
        return [entry for ip in ("::1", "127.0.0.1") for entry in resolve(ip, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_to_both)
    assert client.fetch(server.url()) == FRAGMENT


def test_ipv6_address_in_the_url_works(client: Client, serve: Serve) -> None:
    assert client.fetch(serve(OK, host="::1").url(host="[::1]")) == FRAGMENT


@pytest.mark.fault(26)
def test_name_that_cannot_be_resolved_is_named(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(KeyServiceUnreachableError, match=r"keys\.example cannot be resolved"):
        client.fetch("https://keys.example")
    assert len(client.sleeps) == client.limits.fetch_attempts - 1


@pytest.mark.fault(26)
def test_dropped_packets_are_a_timeout_and_tried_again(client: Client) -> None:
    client.limits = Limits(connect_timeout_s=0.2, fetch_attempts=2)
    with packets_dropped() as port, pytest.raises(KeyServiceTimeoutError):
        client.fetch(f"https://127.0.0.1:{port}")
    assert len(client.sleeps) == 1


@pytest.mark.fault(26)
def test_dropped_packets_end_by_the_deadline(hurried: Client) -> None:
    with packets_dropped() as port, ended_by_deadline():
        hurried.fetch(f"https://127.0.0.1:{port}")


def test_silence_is_a_timeout_and_tried_again(client: Client, serve: Serve) -> None:
    client.limits = Limits(read_timeout_s=0.2)
    server = serve(drip_after_request(b"", b"x", pause_s=2), OK)
    assert client.fetch(server.url()) == FRAGMENT
    assert len(client.sleeps) == 1


@contextlib.contextmanager
def ended_by_deadline() -> Iterator[None]:
    threads, start = threading.active_count(), time.monotonic()
    with pytest.raises(KeyServiceTimeoutError):
        yield
    assert time.monotonic() - start < AT_MOST_S
    assert threading.active_count() <= threads + 2  # the server's own: its accept and its connection


DRIPS: dict[str, Script] = {
    "status line": drip_after_request(b"", b"HTTP/1.1 200 " + b"O" * 2000),
    "header": drip_after_request(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x" * 2000),
    "interim answers": drip_after_request(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "body": drip_after_request(head("200 OK", "Content-Length: 2000"), b"x" * 2000),
    "chunked body": drip_after_request(head("200 OK", "Transfer-Encoding: chunked"), b"1\r\nx\r\n" * 400),
    "body without end": drip_after_request(head("200 OK"), b"x" * 2000),
}


@pytest.mark.fault(33)
@pytest.mark.parametrize("script", DRIPS.values(), ids=DRIPS.keys())
def test_drip_ends_by_the_deadline(hurried: Client, serve: Serve, script: Script) -> None:
    server = serve(script)
    with ended_by_deadline():
        hurried.fetch(server.url())


@pytest.mark.fault(33)
@pytest.mark.parametrize("part", ["header", "body"])
def test_drip_over_plain_http_ends_by_the_deadline(hurried: Client, serve: Serve, part: str) -> None:
    server = serve(DRIPS[part], tls=None)
    with ended_by_deadline():
        hurried.fetch(server.url())


@pytest.mark.fault(33)
def test_drip_in_the_tls_handshake_ends_by_the_deadline(hurried: Client, serve: Serve) -> None:
    def drip_handshake(peer: Peer) -> None:
        peer.drip(b"\x16\x03\x03\x40\x00" + bytes(2000), pause_s=0.05)

    server = serve(drip_handshake, tls=None)
    with ended_by_deadline():
        hurried.fetch(f"https://localhost:{server.port}")


def test_refusal_whose_explanation_drips_is_still_that_refusal(hurried: Client, serve: Serve) -> None:
    explained = head("401 No", "Content-Type: application/problem+json", "Content-Length: 2000")
    with pytest.raises(TokenRejectedError):
        hurried.fetch(serve(drip_after_request(explained, b"x" * 2000)).url())


@pytest.mark.fault(31)
def test_wait_that_would_pass_the_deadline_is_not_begun(client: Client, serve: Serve) -> None:
    client.limits = Limits(fetch_deadline_s=5, retry_after_cap_s=20)
    server = serve(answer("429 Slow Down", "Retry-After: 10"))
    with pytest.raises(RateLimitedError):
        client.fetch(server.url())
    assert client.sleeps == []
    assert server.connections == 1


def test_waits_count_towards_the_deadline(fetch_in_fake_time: Callable[..., object], serve: Serve) -> None:
    server = serve(answer("500 Oops"))
    with pytest.raises(KeyServiceUnavailableError):
        fetch_in_fake_time(
            server.url(), limits=Limits(fetch_deadline_s=100, fetch_attempts=50, backoff_first_s=10)
        )
    assert server.connections <= 6  # 10 + 20 + 40 + 80 seconds, halved at most, exceed 100


@pytest.mark.parametrize("secure", [True, False], ids=["https", "http"])
def test_connection_without_an_answer_is_tried_again(client: Client, serve: Serve, secure: bool) -> None:
    def reset(peer: Peer) -> None:
        peer.read_request()
        peer.reset()

    scripts = (say(b""), reset, OK)
    server = serve(*scripts) if secure else serve(*scripts, tls=None)
    assert client.fetch(server.url()) == FRAGMENT
    assert server.connections == 3


def test_connection_closed_in_the_handshake_is_unreachable(client: Client, serve: Serve) -> None:
    server = serve(Peer.hang_up, tls=None)
    with pytest.raises(KeyServiceUnreachableError):
        client.fetch(f"https://localhost:{server.port}")


CUT = {
    "short of its length": head("200 OK", "Content-Length: 80") + FRAGMENT,
    "empty but a length": head("200 OK", "Content-Length: 32"),
    "in a chunk": head("200 OK", "Transfer-Encoding: chunked") + b"20\r\nabc",
    "before the last chunk": head("200 OK", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n",
}


@pytest.mark.fault(35)
@pytest.mark.parametrize("secure", [True, False], ids=["https", "http"])
@pytest.mark.parametrize("cut", CUT.values(), ids=CUT.keys())
def test_body_cut_short_is_no_fragment(client: Client, serve: Serve, cut: bytes, secure: bool) -> None:
    server = serve(say(cut)) if secure else serve(say(cut), tls=None)
    with pytest.raises(FragmentTruncatedError):
        client.fetch(server.url())
    assert server.connections == client.limits.fetch_attempts


@pytest.mark.fault(35)
def test_body_cut_short_and_then_whole_succeeds(client: Client, serve: Serve) -> None:
    assert client.fetch(serve(say(CUT["in a chunk"]), OK).url()) == FRAGMENT


def test_body_that_ends_without_tls_goodbye_is_no_fragment(client: Client, serve: Serve) -> None:
    def cut_tcp(peer: Peer) -> None:
        peer.read_request()
        peer.send(head("200 OK") + FRAGMENT[:5])
        peer.hang_up()

    with pytest.raises(FragmentTruncatedError):
        client.fetch(serve(cut_tcp).url())


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        FRAGMENT,
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n" + FRAGMENT,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    ],
)
def test_answer_that_is_not_http_is_no_answer_of_a_key_service(
    client: Client, serve: Serve, nonsense: bytes
) -> None:
    server = serve(say(nonsense))
    with pytest.raises(KeyServiceAnswerError):
        client.fetch(server.url())
    assert server.connections == 1
