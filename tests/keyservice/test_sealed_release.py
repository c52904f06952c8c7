"""An enrolled device gets its fragments sealed to its key; nobody else gets anything of them. Real HTTPS."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from binary_split.errors import (
    BinarySplitError,
    DeviceKeyNeededError,
    EnrolmentRefusedError,
    FragmentForbiddenError,
    FragmentNotFoundError,
    KeyServiceAnswerError,
)
from binary_split.keyclient import Service as Client
from binary_split.keyclient import enrol, fetch_fragment, fetch_sealed_fragment
from binary_split.model import Fragment
from binary_split.sealedfragment import Kem, PrivateKey, PublicKey, SealedFragment, open_fragment
from binary_split.service.tls import TlsFiles
from tests.keyservice.conftest import FRAGMENT, HOUR, Service

pytestmark = pytest.mark.slow  # a service runs for each

NONCE = "AAECAwQFBgcICQoLDA0ODw"
PLAIN = "/binary-split/key-fragment"


@dataclass
class Fleet:
    """A key service with devices, and the client of each device."""

    service: Service
    ca_file: Path

    @property
    def at(self) -> Client:
        return Client(base_url=self.service.url, ca_file=self.ca_file, sleep=lambda _s: None)

    def code(self, device: str, *, grant: str | None = "k1", uses: int | None = None) -> str:
        self.service.store.devices.add(device)
        if grant is not None:
            self.service.store.grants.add(grant, device_id=device, uses=uses)
        return self.service.store.enrolment.issue(device, lifetime=HOUR).text

    def enrol(self, device: str, kem: Kem = Kem.X25519, **options: Any) -> tuple[str, PrivateKey]:
        key = PrivateKey.generate(kem)
        enrolment = enrol(self.at, self.code(device, **options), PublicKey.of(key))
        assert enrolment.device == device
        return enrolment.token, key

    def post(self, path: str, token: str | None, body: object) -> requests.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.service.client.post(self.service.url + path, data=raw, headers=headers, timeout=10)

    def release(self, token: str, key_id: str = "k1", nonce: str = NONCE) -> requests.Response:
        return self.post(f"/v1/keys/{key_id}/release", token, {"nonce": nonce})

    def records(self, kind: str) -> list[Any]:
        return list(self.service.store.audit.page(kind=kind).rows)

    def details(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(record.detail) for record in self.records(kind)]


@pytest.fixture
def fleet(own_service: Service, tls: TlsFiles) -> Fleet:
    return Fleet(own_service, tls.certificate)


@pytest.mark.parametrize("kem", Kem)
def test_an_enrolled_device_gets_its_fragment_byte_for_byte(fleet: Fleet, kem: Kem) -> None:
    token, key = fleet.enrol("drone-7", kem)
    assert fetch_sealed_fragment(fleet.at, token, key, key_id="k1", device="drone-7").reveal() == FRAGMENT


def test_the_answer_is_a_sealed_fragment_that_nothing_may_store(fleet: Fleet) -> None:
    token, key = fleet.enrol("drone-7")
    answer = fleet.release(token)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    sealed = SealedFragment.parse(answer.content)
    assert open_fragment(sealed, key, device="drone-7", key_id="k1").reveal() == FRAGMENT
    assert FRAGMENT not in answer.content


def test_a_stolen_token_alone_opens_nothing(fleet: Fleet) -> None:
    token, _key = fleet.enrol("drone-7")
    thief = PrivateKey.generate(Kem.X25519)
    with pytest.raises(BinarySplitError, match="another device"):
        fetch_sealed_fragment(fleet.at, token, thief, key_id="k1")
    answer = fleet.post(
        "/v1/keys/k1/release", token, {"nonce": NONCE, "public_key": PublicKey.of(thief).serialise()}
    )
    with pytest.raises(BinarySplitError, match="another device"):
        open_fragment(SealedFragment.parse(answer.content), thief)
    with pytest.raises(DeviceKeyNeededError):
        fetch_fragment(fleet.service.url, token, ca_file=fleet.ca_file)


def test_a_repeated_nonce_spends_no_second_use(fleet: Fleet) -> None:
    token, key = fleet.enrol("drone-7", uses=1)
    first, again = fleet.release(token), fleet.release(token)
    assert {first.status_code, again.status_code} == {200}
    assert first.content != again.content  # sealed anew
    assert open_fragment(SealedFragment.parse(again.content), key).reveal() == FRAGMENT
    assert fleet.release(token, nonce=NONCE[:-1] + "g").status_code == 404


def test_each_release_is_in_the_audit_as_sealed(fleet: Fleet) -> None:
    token, _key = fleet.enrol("drone-7")
    fleet.release(token)
    (record,) = fleet.records("release")
    assert (record.key_id, record.device_id) == ("k1", "drone-7")
    assert fleet.details("release")[0]["sealed"] == "yes"
    (enrolled,) = fleet.records("device-enrol")
    assert enrolled.device_id == "drone-7"
    fleet.service.store.audit.verify()


@pytest.mark.fault(60)
def test_whatever_a_device_may_not_have_gets_the_same_404(fleet: Fleet) -> None:
    store = fleet.service.store
    for key_id in ("others", "destroyed", "used-up", "revoked"):
        store.keys.add(key_id, Fragment(FRAGMENT))
    fleet.enrol("other-device", grant="others")
    token, _key = fleet.enrol("drone-7", grant="destroyed")
    store.grants.add("used-up", device_id="drone-7", uses=1)
    store.grants.revoke(store.grants.add("revoked", device_id="drone-7").grant_id)
    store.keys.destroy("destroyed")
    assert fleet.release(token, "used-up").status_code == 200
    other = NONCE[:-1] + "g"
    asked = ("unknown", "others", "destroyed", "used-up", "revoked", "K1", "a" * 65, "%00", "é")
    answers = [fleet.release(token, key_id, nonce=other) for key_id in asked]
    without_key = store.tokens.issue("others", lifetime=HOUR).text
    answers.append(fleet.release(without_key, "others"))
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    varying = {"date", "x-request-id"}
    kept = [{k: v for k, v in answer.headers.items() if k.lower() not in varying} for answer in answers]
    assert all(headers == kept[0] for headers in kept)


def test_a_revoked_token_and_a_disabled_device_are_403_at_the_next_request(fleet: Fleet) -> None:
    token, key = fleet.enrol("drone-7")
    fetch_sealed_fragment(fleet.at, token, key, key_id="k1")
    fleet.service.store.devices.disable("drone-7")
    with pytest.raises(FragmentForbiddenError, match="revoked, or its device disabled"):
        fetch_sealed_fragment(fleet.at, token, key, key_id="k1")
    fleet.service.store.devices.enable("drone-7")
    found = fleet.service.store.tokens.find(token)
    assert found is not None
    fleet.service.store.tokens.revoke(found.token_id)
    with pytest.raises(FragmentForbiddenError):
        fetch_sealed_fragment(fleet.at, token, key, key_id="k1")


@pytest.mark.parametrize(
    ("policy", "status"), [("allowed", 200), ("enrolled-refused", 403), ("refused", 403)]
)
def test_a_keys_policy_decides_about_the_plain_get(fleet: Fleet, policy: Any, status: int) -> None:
    token, _key = fleet.enrol("drone-7")
    fleet.service.store.keys.set_plain_release("k1", policy)
    answer = fleet.service.ask(token, path=f"{PLAIN}?key_id=k1")
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["type"] == "urn:binary-split:problem:device-key-needed"
    assert fleet.release(token).status_code == 200


def test_who_may_not_have_a_key_does_not_learn_its_policy(fleet: Fleet) -> None:
    fleet.service.store.keys.add("others", Fragment(FRAGMENT))
    token, _key = fleet.enrol("drone-7")
    unknown, others = (
        fleet.service.ask(token, path=f"{PLAIN}?key_id={name}") for name in ("unknown", "others")
    )
    assert unknown.status_code == others.status_code == 404
    assert unknown.content == others.content


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b"[" * 10_000, b"\xff" * 30, b'{"nonce":"' + b"A" * 20_000 + b'"}'),
        *({}, {"nonce": 5}, {"nonce": "AAAA"}, {"nonce": NONCE + "="}, {"nonce": "A" * 87}),
        {"nonce": "\ud800" * 22},
    ],
)
def test_a_malformed_body_is_400_and_spends_nothing(fleet: Fleet, body: object) -> None:
    token, _key = fleet.enrol("drone-7", uses=1)
    answer = fleet.post("/v1/keys/k1/release", token, body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert fleet.release(token).status_code == 200


def test_a_body_that_does_not_come_ends_the_request(
    fleet: Fleet, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("binary_split.service.bodies._TIMEOUT_S", 0.2)
    host, port = fleet.service.url.removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        trusting.wrap_socket(plain, server_hostname=host) as stream,
    ):
        stream.sendall(b"POST /v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n{")
        answer = b"".join(iter(lambda: stream.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_leaves_in_its_body_is_no_failure_of_the_service(
    fleet: Fleet, trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = fleet.service.url.removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        trusting.wrap_socket(plain, server_hostname=host) as stream,
    ):
        stream.sendall(b"POST /v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n{")
    assert fleet.release("bsk_unknown").status_code == 401
    assert "unexpected" not in caplog.text


def test_no_token_is_401_before_the_body_is_read(fleet: Fleet) -> None:
    assert fleet.post("/v1/keys/k1/release", None, b"{").status_code == 401


class TestEnrolment:
    def test_a_code_works_once(self, fleet: Fleet) -> None:
        code = fleet.code("drone-7")
        enrol(fleet.at, code, PublicKey.of(PrivateKey.generate(Kem.X25519)))
        with pytest.raises(EnrolmentRefusedError):
            enrol(fleet.at, code, PublicKey.of(PrivateKey.generate(Kem.X25519)))

    def test_the_same_key_with_the_same_code_is_the_same_enrolment(self, fleet: Fleet) -> None:
        """The answer to the first was lost: the device asks again and is not left outside."""
        code, key = fleet.code("drone-7"), PrivateKey.generate(Kem.X25519)
        lost = enrol(fleet.at, code, PublicKey.of(key))
        again = enrol(fleet.at, code, PublicKey.of(key))
        assert fetch_sealed_fragment(fleet.at, again.token, key, key_id="k1").reveal() == FRAGMENT
        with pytest.raises(FragmentForbiddenError):
            fetch_sealed_fragment(fleet.at, lost.token, key, key_id="k1")
        assert [detail.get("repeat") for detail in fleet.details("device-enrol")] == [None, "yes"]

    def test_a_repeat_gives_nothing_back_that_was_taken_away(self, fleet: Fleet) -> None:
        code, key = fleet.code("drone-7"), PrivateKey.generate(Kem.X25519)
        enrolled = enrol(fleet.at, code, PublicKey.of(key))
        found = fleet.service.store.tokens.find(enrolled.token)
        assert found is not None
        fleet.service.store.tokens.revoke(found.token_id)
        with pytest.raises(EnrolmentRefusedError):
            enrol(fleet.at, code, PublicKey.of(key))
        assert len(fleet.records("device-enrol")) == 1

    def test_an_unknown_an_expired_and_a_revoked_code_and_a_disabled_device_look_alike(
        self, fleet: Fleet
    ) -> None:
        store = fleet.service.store
        expired, revoked, disabled = (fleet.code(name) for name in ("a", "b", "c"))
        (row,) = store.enrolment.page(device_id="b").rows
        store.enrolment.revoke(row.code_id)
        store.devices.disable("c")
        fleet.service.clock.time += timedelta(hours=2)
        public = PublicKey.of(PrivateKey.generate(Kem.X25519)).serialise()
        asked = ("bse_unknown", "", "x" * 5000, expired, revoked, disabled)
        answers = [fleet.post("/v1/enroll", None, {"code": code, "public_key": public}) for code in asked]
        assert {answer.status_code for answer in answers} == {403}
        assert len({answer.content for answer in answers}) == 1

    @pytest.mark.parametrize(
        "text", ["", "x25519:", "x25519:" + "A" * 43, "x25519:AA", "rsa:AA", "ä", "A" * 3000]
    )
    def test_a_public_key_that_is_none_is_400_and_spends_no_code(self, fleet: Fleet, text: str) -> None:
        code = fleet.code("drone-7")
        assert fleet.post("/v1/enroll", None, {"code": code, "public_key": text}).status_code == 400
        enrol(fleet.at, code, PublicKey.of(PrivateKey.generate(Kem.X25519)))

    @pytest.mark.parametrize(
        "body", [b"", b"[]", {"code": "x"}, {"public_key": "x"}, {"code": 1, "public_key": 2}]
    )
    def test_a_malformed_body_is_400(self, fleet: Fleet, body: object) -> None:
        assert fleet.post("/v1/enroll", None, body).status_code == 400

    def test_a_get_is_no_enrolment(self, fleet: Fleet) -> None:
        assert fleet.service.ask(path="/v1/enroll").status_code == 405

    def test_bad_codes_are_counted_and_not_written_one_by_one(self, fleet: Fleet) -> None:
        public = PublicKey.of(PrivateKey.generate(Kem.X25519)).serialise()
        for number in range(20):
            fleet.post("/v1/enroll", None, {"code": f"bse_{number}", "public_key": public})
        fleet.service.store.failures.write(all_minutes=True)
        (detail,) = fleet.details("failures")
        assert detail["reasons"] == {"bad-code": 20}


def test_a_service_without_these_routes_is_told_from_a_refusal(fleet: Fleet) -> None:
    elsewhere = replace(fleet.at, base_url=fleet.service.url + "/elsewhere")
    key = PrivateKey.generate(Kem.X25519)
    with pytest.raises(KeyServiceAnswerError, match="enrols"):
        enrol(elsewhere, "bse_x", PublicKey.of(key))
    with pytest.raises(FragmentNotFoundError):
        fetch_sealed_fragment(elsewhere, "bsk_x", key, key_id="k1")


def test_a_stored_public_key_that_is_none_is_a_500_and_no_fragment(fleet: Fleet) -> None:
    fleet.service.store.devices.add("broken", public_key=b"none")
    fleet.service.store.grants.add("k1", device_id="broken")
    token = fleet.service.store.tokens.issue(device_id="broken", lifetime=HOUR).text
    answer = fleet.release(token)
    assert answer.status_code == 500
    assert FRAGMENT not in answer.content
