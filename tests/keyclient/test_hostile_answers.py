"""Answers and surroundings that would take the token elsewhere, or pass something else for a fragment."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bed.fault_server import answer, head, pour_endlessly, say
from binary_split.errors import (
    BinarySplitError,
    FragmentEmptyError,
    FragmentNotBinaryError,
    FragmentTooLongError,
    KeyServiceAnswerError,
    KeyServiceRedirectError,
)
from tests.keyclient.conftest import FRAGMENT, TOKEN, Client, Serve

OK = answer("200 OK", body=FRAGMENT)
BOMB = gzip.compress(bytes(10_000_000))
KERNEL_BUFFERS = 16 * 1024 * 1024  # generous: what both ends of a loopback connection may hold

REDIRECTS = ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]


@pytest.mark.fault(29)
@pytest.mark.parametrize("status", REDIRECTS)
def test_redirect_is_not_followed(client: Client, serve: Serve, status: str) -> None:
    other = serve(OK)
    server = serve(answer(status, f"Location: {other.url()}/elsewhere"))
    with pytest.raises(KeyServiceRedirectError, match=f"https://localhost.*{status[:3]}"):
        client.fetch(server.url())
    assert (server.connections, other.connections) == (1, 0)


@pytest.mark.fault(29)
@pytest.mark.parametrize("status", REDIRECTS)
def test_downgrade_to_http_never_sees_the_token(client: Client, serve: Serve, status: str) -> None:
    other = serve(OK, tls=None)
    server = serve(answer(status, f"Location: {other.url()}/binary-split/key-fragment"))
    with pytest.raises(KeyServiceRedirectError):
        client.fetch(server.url())
    assert other.connections == 0


@pytest.mark.fault(29)
def test_redirect_loop_ends_at_once(client: Client, serve: Serve) -> None:
    server = serve(answer("302 Found", "Location: /binary-split/key-fragment"))
    with pytest.raises(KeyServiceRedirectError):
        client.fetch(server.url())
    assert server.connections == 1


@pytest.mark.parametrize(
    "location",
    ["", "https://[::1", "https://u:p@evil.example/?t=" + TOKEN, "https://" + TOKEN[:12], "\xff\xfe", "//x"],
)
def test_strange_redirect_target_is_a_redirect_and_not_repeated(
    client: Client, serve: Serve, location: str
) -> None:
    with pytest.raises(KeyServiceRedirectError) as caught:
        client.fetch(serve(answer("302 Found", f"Location: {location}")).url())
    assert "u:p" not in str(caught.value)
    assert TOKEN[:12].lower() not in str(caught.value).lower()


@pytest.mark.fault(34)
def test_endless_body_of_a_redirect_is_not_read(client: Client, serve: Serve) -> None:
    server = serve(pour_endlessly(head("302 Found", "Location: /x"), bytes(65536)))
    with pytest.raises(KeyServiceRedirectError):
        client.fetch(server.url())
    assert server.sent_bytes < KERNEL_BUFFERS


@pytest.mark.fault(34)
@pytest.mark.parametrize("header", [(), ("Transfer-Encoding: chunked",), (f"Content-Length: {1 << 40}",)])
def test_endless_body_is_read_up_to_the_limit_only(
    client: Client, serve: Serve, header: tuple[str, ...]
) -> None:
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n" if "chunked" in "".join(header) else bytes(65536)
    server = serve(pour_endlessly(head("200 OK", *header), chunk))
    with pytest.raises(FragmentTooLongError):
        client.fetch(server.url())
    assert server.connections == 1
    assert server.sent_bytes < KERNEL_BUFFERS


def test_longest_fragment_is_accepted_and_one_byte_more_is_not(client: Client, serve: Serve) -> None:
    longest = b"f" * client.limits.fragment_bytes
    assert client.fetch(serve(answer("200 OK", body=longest)).url()) == longest
    with pytest.raises(FragmentTooLongError):
        client.fetch(serve(answer("200 OK", body=longest + b"f")).url())


@pytest.mark.fault(34)
@pytest.mark.parametrize("status", ["200 OK", "302 Found", "403 No", "500 Oops"])
@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "unheard-of"])
def test_compressed_body_is_never_decoded(
    client: Client, serve: Serve, status: str, coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib3.response

    def refuse(*args: object) -> None:
        pytest.fail("a body was decoded")

    monkeypatch.setattr(urllib3.response.HTTPResponse, "_decode", refuse)
    headers = (f"Content-Encoding: {coding}", "Content-Type: application/problem+json")
    server = serve(answer(status, *headers[: 1 if status[0] == "2" else 2], body=BOMB))
    client.limits = client.limits.__class__(fetch_attempts=1)
    with pytest.raises(KeyServiceAnswerError if status[0] == "2" else BinarySplitError):
        client.fetch(server.url())


def test_identity_coding_is_no_coding(client: Client, serve: Serve) -> None:
    assert (
        client.fetch(serve(answer("200 OK", "Content-Encoding: Identity", body=FRAGMENT)).url()) == FRAGMENT
    )


PORTAL = b"<!DOCTYPE html><html><body>Welcome to FreeWifi, please log in</body></html>"


@pytest.mark.fault(35)
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html; charset=utf-8", PORTAL),
        ("TEXT/HTML", b"no markup"),
        ("application/xhtml+xml", PORTAL),
        ("application/json", b'"fragment"'),
        ("application/problem+json", b'{"title": "oops"}'),
        ("application/octet-stream", PORTAL),
        ("application/octet-stream", b"\xef\xbb\xbf\r\n  <HTML lang=en>"),
        ("application/octet-stream", b"<!-- portal -->"),
        ("application/octet-stream", b"<?xml version='1.0'?>"),
        ("text/plain", b'{"detail": "not here"}'),
        ("text/plain", PORTAL + b" " * 100_000),
    ],
)
def test_document_is_no_fragment(client: Client, serve: Serve, content_type: str, body: bytes) -> None:
    server = serve(answer("200 OK", f"Content-Type: {content_type}", body=body))
    with pytest.raises(FragmentNotBinaryError):
        client.fetch(server.url())
    assert server.connections == 1


@pytest.mark.parametrize("body", [b"<", b"<html5", b"{}", b"[]", b"12", b'"text"', b"\r\n", b"\0"])
def test_short_or_odd_bytes_are_a_fragment(client: Client, serve: Serve, body: bytes) -> None:
    assert client.fetch(serve(answer("200 OK", "Content-Type: text/plain", body=body)).url()) == body


@pytest.mark.fault(35)
@pytest.mark.parametrize("script", [answer("200 OK"), say(head("200 OK"))], ids=["length 0", "no length"])
def test_empty_body_is_no_fragment(client: Client, serve: Serve, script: object) -> None:
    with pytest.raises(FragmentEmptyError):
        client.fetch(serve(script).url())


@pytest.mark.fault(36)
def test_netrc_and_proxies_of_the_environment_are_not_used(
    client: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login hostile password hostile\n")
    netrc.chmod(0o600)
    proxy, server = serve(OK, tls=None), serve(OK)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy.url())
    assert client.fetch(server.url()) == FRAGMENT
    assert proxy.connections == 0
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n".encode() in server.requests[0]


def test_cookie_of_one_try_is_not_sent_with_the_next(client: Client, serve: Serve) -> None:
    server = serve(answer("503 Later", "Set-Cookie: track=me; Path=/"), OK)
    client.fetch(server.url())
    assert b"cookie" not in server.requests[1].lower()
