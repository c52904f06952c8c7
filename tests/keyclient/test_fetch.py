"""What comes of a key service that behaves, or fails for a while."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bed.fault_server import answer, head, say
from binary_split.errors import (
    BinarySplitError,
    FragmentForbiddenError,
    FragmentNotFoundError,
    KeyServiceAnswerError,
    KeyServiceUnavailableError,
    RateLimitedError,
    TokenRejectedError,
)
from tests.keyclient.conftest import FRAGMENT, TOKEN, Client, Serve

OK = answer("200 OK", "Content-Type: application/octet-stream", body=FRAGMENT)


def test_fragment_comes_back_byte_for_byte(client: Client, serve: Serve) -> None:
    assert client.fetch(serve(OK).url()) == FRAGMENT


def test_every_byte_value_comes_back(client: Client, serve: Serve) -> None:
    every = bytes(range(256)) * 256
    assert client.fetch(serve(answer("200 OK", body=every)).url()) == every


def test_chunked_fragment_comes_back(client: Client, serve: Serve) -> None:
    script = say(head("200 OK", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n2\r\n\r\n\r\n0\r\n\r\n")
    assert client.fetch(serve(script).url()) == b"abc\r\n"


def test_fragment_that_ends_with_the_connection_comes_back(client: Client, serve: Serve) -> None:
    assert client.fetch(serve(say(head("200 OK") + FRAGMENT)).url()) == FRAGMENT


@pytest.mark.parametrize("base", ["", "/", "/api/v1", "/api/v1/"])
def test_path_is_appended_once_and_base_path_kept(client: Client, serve: Serve, base: str) -> None:
    server = serve(OK)
    client.fetch(server.url() + base)
    path = base.rstrip("/") + "/binary-split/key-fragment"
    assert server.requests[0].startswith(f"GET {path} HTTP/1.1\r\n".encode())


def test_key_id_is_sent_only_when_given_and_escaped(client: Client, serve: Serve) -> None:
    server = serve(OK)
    client.fetch(server.url(), key_id="release-1.0")
    client.fetch(server.url(), key_id="a&b=c d")
    assert b"key-fragment?key_id=release-1.0 HTTP" in server.requests[0]
    assert b"key-fragment?key_id=a%26b%3Dc%20d HTTP" in server.requests[1]


def test_token_is_sent_as_bearer_and_nothing_compressed_is_asked_for(client: Client, serve: Serve) -> None:
    server = serve(OK)
    client.fetch(server.url())
    lines = server.requests[0].decode().split("\r\n")
    assert f"Authorization: Bearer {TOKEN}" in lines
    assert "Accept-Encoding: identity" in lines
    assert not [line for line in lines if line.lower().startswith("cookie:")]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_plain_http_works_on_loopback(client: Client, serve: Serve, host: str) -> None:
    assert client.fetch(serve(OK, tls=None).url(host=host)) == FRAGMENT


@pytest.mark.fault(30)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("401 Unauthorized", TokenRejectedError),
        ("403 Forbidden", FragmentForbiddenError),
        ("404 Not Found", FragmentNotFoundError),
    ],
)
def test_refusal_is_not_tried_again(
    client: Client, serve: Serve, status: str, error: type[BinarySplitError]
) -> None:
    server = serve(answer(status))
    with pytest.raises(error):
        client.fetch(server.url())
    assert server.connections == 1
    assert client.sleeps == []


@pytest.mark.fault(32)
@pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "503 Unavailable", "504 Timeout"])
def test_server_error_and_then_200_succeeds(client: Client, serve: Serve, status: str) -> None:
    server = serve(answer(status), answer(status), OK)
    assert client.fetch(server.url()) == FRAGMENT
    assert server.connections == 3


def test_waits_between_tries_grow_and_have_jitter(client: Client, serve: Serve) -> None:
    server = serve(answer("500 Oops"))
    with pytest.raises(KeyServiceUnavailableError):
        client.fetch(server.url())
    assert server.connections == client.limits.fetch_attempts == 4
    assert len(client.sleeps) == 3
    for wait, longest in zip(client.sleeps, (0.5, 1.0, 2.0), strict=True):
        assert longest / 2 <= wait <= longest


@pytest.mark.parametrize(
    "status", ["201 Created", "204 No Content", "206 Partial", "304 Same", "400 Bad", "418 Tea"]
)
def test_any_other_status_is_no_answer_of_a_key_service(client: Client, serve: Serve, status: str) -> None:
    server = serve(answer(status, body=b""))
    with pytest.raises(KeyServiceAnswerError, match=status[:3]):
        client.fetch(server.url())
    assert server.connections == 1


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    ("asked", "waited"), [("5", 5.0), ("1000000000", 20.0), ("9" * 5000, 20.0), (" 7 ", 7.0)]
)
@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Unavailable"])
def test_retry_after_is_obeyed_and_capped(
    client: Client, serve: Serve, status: str, asked: str, waited: float
) -> None:
    server = serve(answer(status, f"Retry-After: {asked}"), OK)
    assert client.fetch(server.url()) == FRAGMENT
    assert client.sleeps == [waited]


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    "asked", ["soon", "-5", "1e3", "0", "inf", "nan", "Thu, 99 Foo 2026 00:00:00 GMT", "²"]
)
def test_retry_after_that_makes_no_sense_means_own_backoff(client: Client, serve: Serve, asked: str) -> None:
    server = serve(answer("429 Slow Down", f"Retry-After: {asked}"), OK)
    client.fetch(server.url())
    assert len(client.sleeps) == 1
    assert 0.25 <= client.sleeps[0] <= 0.5


def test_retry_after_date_is_measured_by_the_services_own_clock(client: Client, serve: Serve) -> None:
    date, until = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:49 GMT"
    server = serve(answer("429 Slow Down", f"Date: {date}", f"Retry-After: {until}"), OK)
    client.fetch(server.url())
    assert client.sleeps == [12.0]


@pytest.mark.fault(31)
def test_rate_limit_that_stays_is_named(client: Client, serve: Serve) -> None:
    with pytest.raises(RateLimitedError):
        client.fetch(serve(answer("429 Slow Down", "Retry-After: 1")).url())
    assert len(client.sleeps) == 3


def test_problem_detail_is_quoted_bounded_and_cleaned(client: Client, serve: Serve) -> None:
    body = b'{"title":"Gone","detail":"grant\\u001b[31m ended\\nyesterday ' + b"x" * 500 + b'"}'
    server = serve(answer("403 Forbidden", "Content-Type: application/problem+json", body=body))
    with pytest.raises(FragmentForbiddenError) as caught:
        client.fetch(server.url())
    message = str(caught.value)
    assert "grant [31m ended yesterday xxx" in message
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize("echo", [TOKEN, TOKEN[:20], TOKEN.upper(), "x" * 180 + TOKEN])
def test_problem_detail_that_echoes_the_token_is_not_quoted(client: Client, serve: Serve, echo: str) -> None:
    body = f'{{"detail":"no such token: {echo}"}}'.encode()
    server = serve(answer("401 No", "Content-Type: application/problem+json", body=body))
    with pytest.raises(TokenRejectedError) as caught:
        client.fetch(server.url())
    assert TOKEN[:8].lower() not in str(caught.value).lower()


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"detail": 5}', b"[" * 60_000, b"\xff\xfe\xff"])
def test_refusal_with_a_malformed_explanation_is_still_that_refusal(
    client: Client, serve: Serve, body: bytes
) -> None:
    server = serve(answer("404 No", "Content-Type: application/json", body=body))
    with pytest.raises(FragmentNotFoundError):
        client.fetch(server.url())


def test_importing_the_client_imports_no_http_or_tls_library() -> None:
    code = (
        "import sys, binary_split.keyclient; print({'requests','urllib3','ssl','socket'} & set(sys.modules))"
    )
    # without an environment, in which a measurement of coverage would go along
    run = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
