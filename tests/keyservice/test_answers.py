"""Every answer of GET /binary-split/key-fragment, over real HTTPS."""

from __future__ import annotations

import socket
import ssl
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import requests

from binary_split.model import Fragment
from tests.keyservice.conftest import FRAGMENT, HOUR, Service


def assert_problem(answer: requests.Response, status: int) -> None:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["status"] == status


def without_its_own(answer: requests.Response) -> dict[str, str]:
    """Return the headers but those that differ for every request."""
    return {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}


def raw_answer(service: Service, trusting: ssl.SSLContext, head: bytes) -> bytes:
    url = urlsplit(service.url)
    with (
        socket.create_connection((str(url.hostname), url.port or 0), timeout=10) as plain,
        trusting.wrap_socket(plain, server_hostname=url.hostname) as stream,
    ):
        stream.sendall(b"GET /binary-split/key-fragment HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head)
        return b"".join(iter(lambda: stream.recv(65536), b""))


@pytest.mark.parametrize("query", ["", "?key_id=k1"])
def test_a_good_token_gets_its_fragment_byte_exact_and_uncacheable(service: Service, query: str) -> None:
    answer = service.ask(service.issue(), path="/binary-split/key-fragment" + query)
    assert answer.status_code == 200
    assert answer.content == FRAGMENT
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == "32"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "server" not in answer.headers


def test_an_imported_fragment_with_any_bytes_is_released_byte_exact(service: Service) -> None:
    content = b"\r\n\x00 \xff" * 13_107 + b"\n"
    service.store.keys.add("k2", Fragment(content))
    assert service.ask(service.issue("k2")).content == content


def test_no_token_is_401_with_a_challenge_that_names_no_error(service: Service) -> None:
    answer = service.ask()
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="binary-split"'


@pytest.mark.parametrize("value", ["Basic dTpw", "Bearerx abc", "", "Digest a, Bearer b"])
def test_another_scheme_is_no_token(service: Service, value: str) -> None:
    answer = service.client.get(
        f"{service.url}/binary-split/key-fragment", headers={"Authorization": value}, timeout=10
    )
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="binary-split"'


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer a b", "Bearer a,b", "Bearer ä", "Bearer =", 'Bearer "a"']
)
def test_a_malformed_header_is_400_invalid_request(service: Service, value: str) -> None:
    headers = {"Authorization": value.encode("latin-1")}
    answer = service.client.get(f"{service.url}/binary-split/key-fragment", headers=headers, timeout=10)
    assert_problem(answer, 400)
    assert 'error="invalid_request"' in answer.headers["WWW-Authenticate"]


def test_two_authorization_headers_are_400_even_if_both_are_good(
    service: Service, trusting: ssl.SSLContext
) -> None:
    line = b"Authorization: Bearer " + service.issue().encode() + b"\r\n"
    assert raw_answer(service, trusting, line + b"\r\n").startswith(b"HTTP/1.1 200 ")
    answer = raw_answer(service, trusting, line + line + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'error="invalid_request"' in answer


@pytest.mark.parametrize("token", ["bsk_" + "A" * 43, "x", "x" * 8000])
def test_an_unknown_token_is_401_invalid_token(service: Service, token: str) -> None:
    answer = service.ask(token)
    assert_problem(answer, 401)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_the_scheme_is_case_insensitive_and_the_token_is_not(service: Service) -> None:
    token = service.issue()
    url = f"{service.url}/binary-split/key-fragment"
    headers = {"Authorization": f"bEARER {token}"}
    assert service.client.get(url, headers=headers, timeout=10).status_code == 200
    assert service.ask(token.swapcase()).status_code == 401


def test_a_token_works_until_its_expiry_and_not_at_it(service: Service) -> None:
    token = service.issue(lifetime=HOUR)
    service.clock.time += HOUR - timedelta(seconds=1)
    assert service.ask(token).status_code == 200
    service.clock.time += timedelta(seconds=1)
    answer = service.ask(token)
    assert_problem(answer, 401)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.fault(51)
def test_a_token_revoked_while_the_service_runs_gets_403_at_its_next_request(service: Service) -> None:
    issued = service.store.tokens.issue("k1", lifetime=HOUR)
    assert service.ask(issued.text).status_code == 200
    service.store.tokens.revoke(issued.record.token_id)
    answer = service.ask(issued.text)
    assert_problem(answer, 403)
    assert "revoked" in answer.headers["WWW-Authenticate"]
    assert service.ask(service.issue()).status_code == 200


def test_a_revoked_token_stays_revoked_after_its_expiry(service: Service) -> None:
    issued = service.store.tokens.issue("k1", lifetime=HOUR)
    service.store.tokens.revoke(issued.record.token_id)
    service.clock.time += 2 * HOUR
    assert service.ask(issued.text).status_code == 403


@pytest.mark.fault(60)
def test_anothers_an_unknown_and_a_malformed_key_id_get_the_same_404(service: Service) -> None:
    service.store.keys.add("others", Fragment(b"secret of others"))
    token = service.issue()
    answers = [
        service.ask(token, path=f"/binary-split/key-fragment?key_id={key_id}")
        for key_id in ("others", "unknown", "", "K1", "%00", "k1%0a", "x" * 3000, "../k1", "%ff")
    ]
    for answer in answers:
        assert_problem(answer, 404)
        assert answer.content == answers[0].content
        assert without_its_own(answer) == without_its_own(answers[0])


def test_a_token_in_the_query_or_the_body_is_no_token(service: Service) -> None:
    token = service.issue()
    url = f"{service.url}/binary-split/key-fragment"
    assert_problem(service.client.get(url, params={"access_token": token}, timeout=10), 401)
    assert_problem(service.client.get(url, data={"access_token": token}, timeout=10), 401)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_only_get_is_allowed(service: Service, method: str) -> None:
    answer = service.ask(service.issue(), method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET"
    assert FRAGMENT not in answer.content


@pytest.mark.parametrize(
    "path", ["/", "/binary-split/key-fragment/", "/binary-split", "//binary-split/key-fragment"]
)
def test_another_path_is_404_and_never_a_redirect(service: Service, path: str) -> None:
    assert_problem(service.ask(service.issue(), path=path), 404)
