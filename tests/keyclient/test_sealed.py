"""A sealed fragment is asked for with a nonce, and opened only if it answers that very question."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from bed.fault_server import Peer, Script, answer, head
from binary_split.config import Limits
from binary_split.errors import (
    BinarySplitError,
    ConfigError,
    DeviceKeyNeededError,
    FragmentEmptyError,
    FragmentForbiddenError,
    FragmentNotBinaryError,
    FragmentNotFoundError,
    FragmentTooLongError,
    FragmentTruncatedError,
    KeyServiceAnswerError,
    KeyServiceRedirectError,
    KeyServiceTimeoutError,
    RateLimitedError,
    SealedFragmentError,
    SecretFileError,
    TokenRejectedError,
)
from binary_split.keyclient import Service, fetch_fragment, fetch_sealed_fragment
from binary_split.model import Fragment
from binary_split.sealedfragment import Binding, Kem, PrivateKey, PublicKey, seal_fragment
from tests.keyclient.conftest import FRAGMENT, TOKEN, Client, Serve

KEY = PrivateKey(Kem.X25519, bytes([3]) * 32)
JSON = "Content-Type: application/json"


@dataclass
class Asker:
    """fetch_sealed_fragment with a recorded sleep."""

    client: Client
    limits: Limits = field(default_factory=Limits)

    def __call__(
        self, url: str, *, key: PrivateKey = KEY, key_id: str = "k1", device: str | None = None
    ) -> bytes:
        service = Service(
            base_url=url, ca_file=self.client.ca_file, limits=self.limits, sleep=self.client.sleeps.append
        )
        return fetch_sealed_fragment(service, TOKEN, key, key_id=key_id, device=device).reveal()


@pytest.fixture
def ask(client: Client) -> Asker:
    return Asker(client)


def posted(request: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(request.partition(b"\r\n\r\n")[2])
    return document


def nonce_of(request: bytes) -> bytes:
    text = posted(request)["nonce"]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sealing(
    *, device: str = "d1", key_id: str = "k1", nonce: bytes | None = None, key: PrivateKey = KEY
) -> Script:
    """Return the script of a service that seals as it is told."""

    def script(peer: Peer) -> None:
        asked = nonce_of(peer.read_request())
        binding = Binding(device, key_id, nonce or asked)
        body = seal_fragment(Fragment(FRAGMENT), PublicKey.of(key), binding).serialise()
        peer.send(head("200 OK", JSON, f"Content-Length: {len(body)}") + body)

    return script


def cut_off(peer: Peer) -> None:
    peer.read_request()
    peer.send(head("200 OK", JSON, "Content-Length: 300") + b'{"device":')


@pytest.mark.parametrize("kem", Kem)
def test_the_fragment_comes_back_byte_for_byte(ask: Asker, serve: Serve, kem: Kem) -> None:
    key = PrivateKey.generate(kem)
    assert ask(serve(sealing(key=key)).url(), key=key, device="d1") == FRAGMENT


def test_the_request_is_what_the_page_says(ask: Asker, serve: Serve) -> None:
    server = serve(sealing())
    ask(server.url() + "/api/")
    header, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = header.decode().split("\r\n")
    assert lines[0] == "POST /api/v1/keys/k1/release HTTP/1.1"
    assert {f"Authorization: Bearer {TOKEN}", JSON, "Accept: application/json"} <= set(lines)
    assert set(json.loads(body)) == {"nonce"}
    assert len(nonce_of(server.requests[0])) == 16


def test_every_try_carries_the_same_nonce_and_every_fetch_its_own(ask: Asker, serve: Serve) -> None:
    server = serve(answer("503 Busy"), answer("429 Slow", "Retry-After: 1"), cut_off, sealing())
    assert ask(server.url()) == FRAGMENT
    assert server.connections == 4
    assert len({nonce_of(request) for request in server.requests}) == 1
    assert ask(server.url()) == FRAGMENT
    assert len({nonce_of(request) for request in server.requests}) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": bytes(16)},
        {"key_id": "k2"},
        {"device": "d2"},
        {"key": PrivateKey(Kem.X25519, bytes([4]) * 32)},
        {"key": PrivateKey(Kem.HYBRID, bytes([3]) * 32)},
    ],
    ids=["an old nonce", "another key-id", "another device", "another's key", "another kind of key"],
)
def test_an_answer_to_something_else_is_refused_and_not_asked_for_again(
    ask: Asker, serve: Serve, wrong: dict[str, Any]
) -> None:
    server = serve(sealing(**wrong))
    with pytest.raises(SealedFragmentError, match="for another device, key or request"):
        ask(server.url(), device="d1")
    assert server.connections == 1


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (answer("200 OK", JSON, body=b'{"login":true}'), SealedFragmentError),
        (answer("200 OK", "Content-Type: text/html", body=b"<html>"), FragmentNotBinaryError),
        (answer("200 OK", "Content-Type: application/octet-stream", body=FRAGMENT), FragmentNotBinaryError),
        (answer("200 OK", body=b"{}"), FragmentNotBinaryError),
        (answer("200 OK", JSON), FragmentEmptyError),
        (answer("200 OK", JSON, body=b" " * 100_000), FragmentTooLongError),
        (answer("200 OK", JSON, "Content-Encoding: gzip", body=b"{}"), KeyServiceAnswerError),
        (answer("201 Created", JSON, body=b"{}"), KeyServiceAnswerError),
        (answer("307 There", "Location: https://elsewhere.example/"), KeyServiceRedirectError),
        (answer("401 No"), TokenRejectedError),
        (answer("403 No"), FragmentForbiddenError),
        (answer("404 No"), FragmentNotFoundError),
    ],
)
def test_what_is_no_sealed_fragment_has_the_error_of_its_cause(
    ask: Asker, serve: Serve, script: Script, error: type[BinarySplitError]
) -> None:
    server = serve(script)
    with pytest.raises(error):
        ask(server.url())
    assert server.connections == 1


def test_failures_that_stay_are_named(ask: Asker, serve: Serve) -> None:
    for script, error in ((cut_off, FragmentTruncatedError), (answer("429 Slow"), RateLimitedError)):
        with pytest.raises(error):
            ask(serve(script).url())


def test_one_byte_a_second_ends_at_the_deadline(ask: Asker, serve: Serve) -> None:
    def drip(peer: Peer) -> None:
        peer.read_request()
        peer.send(head("200 OK", JSON))
        peer.drip(b" " * 1000, pause_s=0.05)

    ask.limits = Limits(fetch_deadline_s=0.4)
    with pytest.raises(KeyServiceTimeoutError):
        ask(serve(drip).url())


@pytest.mark.parametrize("key_id", ["", "K1", "../x", "a/b", "a" * 65])
def test_what_is_no_key_id_is_not_sent(ask: Asker, serve: Serve, key_id: str) -> None:
    server = serve(sealing())
    with pytest.raises(ConfigError):
        ask(server.url(), key_id=key_id)
    assert server.connections == 0


def test_what_is_no_token_is_not_sent(serve: Serve, client: Client) -> None:
    server = serve(sealing())
    with pytest.raises(SecretFileError):
        fetch_sealed_fragment(Service(base_url=server.url(), ca_file=client.ca_file), "a b", KEY, key_id="k")
    assert server.connections == 0


def test_a_plain_get_that_is_refused_to_an_enrolled_device_says_what_to_do(
    client: Client, serve: Serve
) -> None:
    body = b'{"type":"urn:binary-split:problem:device-key-needed","title":"Forbidden","status":403}'
    server = serve(answer("403 Forbidden", "Content-Type: application/problem+json", body=body))
    with pytest.raises(DeviceKeyNeededError) as sealed_only:
        fetch_fragment(server.url(), TOKEN, ca_file=client.ca_file)
    assert "--device-key" in sealed_only.value.hint
    revoked = serve(answer("403 Forbidden", "Content-Type: application/problem+json", body=b'{"type":[]}'))
    with pytest.raises(FragmentForbiddenError):
        fetch_fragment(revoked.url(), TOKEN, ca_file=client.ca_file)
