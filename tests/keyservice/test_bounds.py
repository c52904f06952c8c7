"""Bodies that are too long or too slow, heads that never end, and RFC 9457 for every no."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.keyservice.store import Store
from tests.keyservice.running import running

pytestmark = pytest.mark.slow  # a service runs for each

LIMITS = ServiceLimits(body_bytes=4096, head_s=0.5, answer_s=0.5)
ENROLL = "/v1/enroll"


@pytest.fixture
def url(store: Store) -> Iterator[str]:
    with running(store, LIMITS) as (url, _guards):
        yield url


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((str(parts.hostname), parts.port or 0), timeout=10)


def rest_of(stream: socket.socket) -> bytes:
    return b"".join(iter(lambda: stream.recv(65536), b""))


def assert_problem(answer: bytes, status: int) -> None:
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    assert b"application/problem+json" in answer
    assert f'"status":{status}'.encode() in answer.replace(b" ", b"")


@pytest.mark.parametrize("body", [bytes(4097), iter([bytes(2048)] * 3)], ids=["stated", "chunked"])
def test_a_body_beyond_the_bound_is_413(url: str, body: bytes | Iterator[bytes]) -> None:
    answer = requests.post(url + ENROLL, data=body, timeout=10)
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Connection"] == "close"


def test_a_body_that_does_not_come_is_408(url: str) -> None:
    with connect(url) as stream:
        stream.sendall(f"POST {ENROLL} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode())
        assert_problem(rest_of(stream), 408)


@pytest.mark.parametrize(
    "start", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["silent", "slow"]
)
def test_a_head_that_does_not_end_costs_a_connection_for_a_short_time_only(url: str, start: bytes) -> None:
    with connect(url) as stream:
        started = time.monotonic()
        stream.sendall(start)
        assert rest_of(stream) == b""
        assert 0.4 < time.monotonic() - started < 5


def test_a_slow_second_head_ends_the_connection_too(url: str) -> None:
    with connect(url) as stream:
        stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.recv(65536).startswith(b"HTTP/1.1 200 ")
        stream.sendall(b"GET /healthz")
        started = time.monotonic()
        assert rest_of(stream) == b""
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "sent", [b"not http at all\r\n\r\n", b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 9000]
)
def test_what_is_no_http_is_a_problem_too(url: str, sent: bytes) -> None:
    with connect(url) as stream:
        stream.sendall(sent)
        assert_problem(rest_of(stream), 400)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/none", 404), ("PUT", "/healthz", 405), ("DELETE", ENROLL, 405), ("GET", "/static/none", 404)],
)
def test_what_there_is_not_is_a_problem(url: str, method: str, path: str, status: int) -> None:
    answer = requests.request(method, url + path, timeout=10)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_an_answer_that_the_database_holds_up_is_503(store: Store, url: str) -> None:
    import asyncio

    from binary_split.keyservice import fragment_route
    from tests.keyservice.conftest import HOUR

    async def hang(*_arguments: object) -> None:
        await asyncio.sleep(60)

    token = store.tokens.issue("k1", lifetime=HOUR).text
    original = fragment_route.key_fragment
    fragment_route.key_fragment = hang  # type: ignore[assignment]
    try:
        answer = requests.get(
            f"{url}/binary-split/key-fragment", headers={"Authorization": f"Bearer {token}"}, timeout=10
        )
    finally:
        fragment_route.key_fragment = original
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
