"""An enrolment sends the code and the public key, and gives a device id and a token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bed.fault_server import Script, answer
from binary_split.errors import (
    BinarySplitError,
    EnrolmentRefusedError,
    FragmentNotBinaryError,
    KeyServiceAnswerError,
    KeyServiceRedirectError,
    KeyServiceUnavailableError,
    KeyServiceUrlError,
    SecretFileError,
)
from binary_split.keyclient import Enrolment, Service, enrol
from binary_split.sealedfragment import Kem, PrivateKey, PublicKey
from tests.keyclient.conftest import Client, Serve

CODE = "bse_one-time-code-0123456789"
TOKEN = "bsk_token-of-the-device"
PUBLIC = PublicKey.of(PrivateKey(Kem.X25519, bytes([3]) * 32))
JSON = "Content-Type: application/json"
PROBLEM = "Content-Type: application/problem+json"
ENROLLED = json.dumps({"device": "d1", "token": TOKEN, "expires": "2027-01-01T00:00:00+00:00"}).encode()
OK = answer("200 OK", JSON, body=ENROLLED)


def ask(client: Client, url: str, *, code: str = CODE) -> Enrolment:
    service = Service(base_url=url, ca_file=client.ca_file, sleep=client.sleeps.append)
    return enrol(service, code, PUBLIC)


def posted(request: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(request.partition(b"\r\n\r\n")[2])
    return document


def test_the_request_is_what_the_page_says(client: Client, serve: Serve) -> None:
    server = serve(OK)
    assert ask(client, server.url() + "/api") == Enrolment("d1", TOKEN)
    assert server.requests[0].startswith(b"POST /api/v1/enroll HTTP/1.1\r\n")
    assert b"authorization" not in server.requests[0].lower()
    assert posted(server.requests[0]) == {"code": CODE, "public_key": PUBLIC.serialise()}


def test_a_lost_answer_is_asked_for_again_in_the_same_words(client: Client, serve: Serve) -> None:
    server = serve(answer("200 OK", JSON, body=ENROLLED, length=999), answer("503 Busy"), OK)
    assert ask(client, server.url()).token == TOKEN
    assert len({request.partition(b"\r\n\r\n")[2] for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (answer("403 No"), EnrolmentRefusedError),
        (answer("409 No"), KeyServiceAnswerError),
        (answer("404 No"), KeyServiceAnswerError),
        (answer("400 No"), KeyServiceAnswerError),
        (answer("302 There", "Location: https://elsewhere.example/"), KeyServiceRedirectError),
        (answer("200 OK", "Content-Type: text/html", body=b"<html>"), FragmentNotBinaryError),
        (answer("200 OK", JSON, body=b"{}"), KeyServiceAnswerError),
        (answer("200 OK", JSON, body=b"[1]"), KeyServiceAnswerError),
        (answer("200 OK", JSON, body=b'{"device":"../d","token":"t"}'), KeyServiceAnswerError),
        (answer("200 OK", JSON, body=b'{"device":"d","token":"a b"}'), KeyServiceAnswerError),
        (answer("200 OK", JSON, body=b'{"device":5,"token":"t"}'), KeyServiceAnswerError),
        (answer("200 OK", JSON, body=b'{"device":"d","token":5}'), KeyServiceAnswerError),
    ],
)
def test_what_is_no_enrolment_has_the_error_of_its_cause(
    client: Client, serve: Serve, script: Script, error: type[BinarySplitError]
) -> None:
    server = serve(script)
    with pytest.raises(error):
        ask(client, server.url())
    assert server.connections == 1


def test_a_service_that_fails_is_asked_again_and_then_named(client: Client, serve: Serve) -> None:
    with pytest.raises(KeyServiceUnavailableError):
        ask(client, serve(answer("500 Oops")).url())
    assert len(client.sleeps) == 3


def test_the_words_of_a_refusal_are_quoted_but_never_the_code(client: Client, serve: Serve) -> None:
    for detail, is_quoted in (("The code has expired.", True), (f"no such code: {CODE}", False)):
        body = json.dumps({"detail": detail}).encode()
        with pytest.raises(EnrolmentRefusedError) as caught:
            ask(client, serve(answer("403 No", PROBLEM, body=body)).url())
        assert (detail in str(caught.value)) == is_quoted
        assert CODE not in str(caught.value)


@pytest.mark.parametrize("code", ["", "a b", "x\n", "é", "x" * 9000])
def test_what_is_no_code_is_not_sent_and_not_quoted(client: Client, serve: Serve, code: str) -> None:
    server = serve(OK)
    with pytest.raises(SecretFileError, match="enrolment code") as caught:
        ask(client, server.url(), code=code)
    assert server.connections == 0
    assert caught.value.__context__ is None


def test_a_code_is_sent_to_https_alone(client: Client) -> None:
    with pytest.raises(KeyServiceUrlError):
        ask(client, "http://keys.example")


def test_the_token_is_in_no_repr(client: Client, serve: Serve) -> None:
    assert TOKEN not in repr(ask(client, serve(OK).url()))
