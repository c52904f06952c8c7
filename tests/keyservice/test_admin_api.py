"""The administration over real HTTPS: who may, what it does, and what its answers never say."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import requests

from binary_split.keyservice.admin.acts import PREFIX
from binary_split.keyservice.admin.desk import PERFORMED
from scripts.openapi import FOLDER, describe, serialise
from tests.keyservice.conftest import FRAGMENT, HOUR, Service

pytestmark = pytest.mark.slow  # a service runs for each


@dataclass
class Admin:
    """An administrator with a token."""

    service: Service
    token: str | None

    def get(self, path: str, **query: Any) -> requests.Response:
        return self._ask("GET", path, params=query)

    def post(self, path: str, **members: Any) -> requests.Response:
        return self._ask("POST", path, json=members or None)

    def send(self, path: str, body: bytes) -> requests.Response:
        return self._ask("POST", path, data=body)

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        url = self.service.url + PREFIX + path
        return self.service.client.request(method, url, headers=headers, timeout=10, **options)


Bear = Callable[..., Admin]


@pytest.fixture
def bear(own_service: Service) -> Bear:
    """Make somebody with a token of these scopes."""

    def make(*scopes: str, lifetime: timedelta = HOUR) -> Admin:
        issued = own_service.store.tokens.issue(
            None if "fragment:read" not in scopes else "k1", lifetime=lifetime, scopes=scopes
        )
        return Admin(own_service, issued.text)

    return make


@pytest.fixture
def admin(bear: Bear) -> Admin:
    return bear("admin", lifetime=timedelta(days=365))


def assert_problem(answer: requests.Response, status: int, *words: str) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), (
        answer.text
    )
    assert answer.headers["Cache-Control"] == "no-store"
    for word in words:
        assert word in answer.json()["detail"]


class TestAuthority:
    def test_every_act_is_refused_without_a_token(self, own_service: Service) -> None:
        nobody = Admin(own_service, None)
        for performed in PERFORMED:
            assert_problem(nobody._ask(performed.act.method, performed.act.path), 401)

    def test_every_act_is_refused_to_a_devices_token_whatever_is_there(self, bear: Bear) -> None:
        device = bear("fragment:read")
        answers = [device._ask(each.act.method, each.act.path) for each in PERFORMED]
        answers += [device.get("/keys/k1"), device.get("/keys/none")]
        assert {answer.status_code for answer in answers} == {403}
        assert len({answer.content for answer in answers}) == 1
        assert 'error="insufficient_scope"' in answers[0].headers["WWW-Authenticate"]

    def test_an_auditor_reads_the_audit_and_nothing_else(self, bear: Bear) -> None:
        auditor = bear("audit:read")
        for performed in PERFORMED:
            answer = auditor._ask(performed.act.method, performed.act.path)
            assert answer.status_code == (200 if performed.act.path.startswith("/audit") else 403)

    def test_an_unknown_an_expired_and_a_revoked_token_are_refused_at_the_next_request(
        self, bear: Bear, own_service: Service
    ) -> None:
        expired, revoked = bear("admin", lifetime=timedelta(minutes=1)), bear("admin")
        assert revoked.get("/keys").status_code == 200
        own_service.clock.time += timedelta(minutes=2)
        found = own_service.store.tokens.find(str(revoked.token))
        assert found is not None
        own_service.store.tokens.revoke(found.token_id)
        assert_problem(Admin(own_service, "bsk_unknown").get("/keys"), 401)
        assert_problem(expired.get("/keys"), 401)
        assert_problem(revoked.get("/keys"), 403)

    def test_the_token_of_a_disabled_device_administrates_nothing(self, own_service: Service) -> None:
        store = own_service.store
        store.devices.add("desk-1")
        token = store.tokens.issue(device_id="desk-1", lifetime=HOUR, scopes=("admin",)).text
        assert Admin(own_service, token).get("/keys").status_code == 200
        store.devices.disable("desk-1")
        assert_problem(Admin(own_service, token).get("/keys"), 403)

    def test_a_token_in_the_url_is_none(self, admin: Admin) -> None:
        assert_problem(Admin(admin.service, None).get("/keys", access_token=admin.token), 401)

    def test_who_may_not_is_refused_before_the_body_is_read(self, bear: Bear) -> None:
        assert_problem(bear("fragment:read").send("/keys", b"{"), 403)


class TestKeys:
    def test_a_made_fragment_is_random_and_in_no_answer(self, admin: Admin) -> None:
        made = admin.post("/keys", key_id="made")
        assert made.status_code == 200
        assert set(made.json()) == {"key_id", "created", "state", "plain_release", "retired", "destroyed"}
        token = admin.service.issue("made")
        fragment = admin.service.ask(token).content
        assert len(fragment) == 32
        assert fragment != FRAGMENT

    def test_an_imported_fragment_is_byte_exact(self, admin: Admin) -> None:
        content = b"\r\n\x00\xff" * 1000
        sent = base64.b64encode(content).decode()
        assert admin.post("/keys", key_id="imported", fragment=sent).status_code == 200
        assert admin.service.ask(admin.service.issue("imported")).content == content

    def test_a_taken_name_is_409_and_changes_nothing(self, admin: Admin) -> None:
        assert_problem(admin.post("/keys", key_id="k1", fragment="AAAA"), 409, "exists already")
        assert admin.service.ask(admin.service.issue("k1")).content == FRAGMENT

    def test_rotation_retirement_destruction_and_policy(self, admin: Admin) -> None:
        store = admin.service.store
        store.devices.add("d1")
        store.grants.add("k1", device_id="d1", uses=3)
        assert admin.post("/keys/k1/rotate", new_key_id="k2").json()["key_id"] == "k2"
        assert admin.get("/keys/k1").json()["state"] == "retired"
        grants = admin.get("/grants", device_id="d1").json()["items"]
        assert {row["key_id"]: row["uses_left"] for row in grants} == {"k1": 3, "k2": 3}
        policy = admin.post("/keys/k2/plain-release", plain_release="refused").json()
        assert policy["plain_release"] == "refused"
        assert admin.post("/keys/k2/retire").json()["state"] == "retired"
        assert admin.post("/keys/k2/destroy").json()["state"] == "destroyed"
        assert_problem(admin.post("/keys/k2/retire"), 409, "destroyed")

    def test_what_does_not_exist_is_404_and_so_is_what_cannot(self, admin: Admin) -> None:
        for path in ("/keys/none", "/keys/K1", "/keys/%00", "/keys/" + "a" * 65, "/tokens/bsk_secret"):
            answer = admin.get(path)
            assert_problem(answer, 404)
            assert "bsk_" not in answer.text

    def test_pages_go_on_where_they_ended_and_filters_hold(self, admin: Admin) -> None:
        for number in range(5):
            admin.post("/keys", key_id=f"p{number}")
        admin.post("/keys/p4/retire")
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = admin.get("/keys", limit=2, state="active", **cursor).json()
            assert len(page["items"]) <= 2
            seen += [row["key_id"] for row in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert seen == ["k1", "p0", "p1", "p2", "p3"]


class TestDevicesAndGrants:
    def test_a_device_is_registered_grouped_disabled_and_enabled(self, admin: Admin) -> None:
        made = admin.post("/devices", device_id="d1", label="bench 3", groups=["b", "a"]).json()
        assert (made["groups"], made["public_key"], made["state"]) == (["a", "b"], None, "active")
        assert_problem(admin.post("/devices", device_id="d1"), 409)
        assert admin.post("/devices/d1/groups", groups=["c"]).json()["groups"] == ["c"]
        assert admin.post("/devices/d1/disable").json()["state"] == "disabled"
        assert admin.get("/devices", state="disabled", group="c").json()["items"][0]["device_id"] == "d1"
        assert admin.post("/devices/d1/enable").json()["disabled"] is None

    def test_a_grant_has_bounds_and_says_whether_it_holds(self, admin: Admin) -> None:
        admin.post("/devices", device_id="d1")
        bounds = {"not_before": "2026-02-01T01:00:00+01:00", "not_after": "2026-03-01T00:00:00Z", "uses": 2}
        made = admin.post("/grants", key_id="k1", device_id="d1", **bounds).json()
        assert made["not_before"] == "2026-02-01T00:00:00+00:00"
        assert (made["state"], made["uses_left"]) == ("waiting", 2)
        path = f"/grants/{made['grant_id']}"
        admin.service.clock.time += timedelta(days=40)
        assert admin.get(path).json()["state"] == "active"
        admin.service.clock.time += timedelta(days=40)
        assert admin.get(path).json()["state"] == "ended"
        assert admin.post(f"{path}/revoke").json()["state"] == "revoked"
        assert admin.get("/grants", is_revoked="false").json()["items"] == []

    def test_a_grant_that_makes_no_sense_is_refused(self, admin: Admin) -> None:
        admin.post("/devices", device_id="d1")
        assert_problem(admin.post("/grants", key_id="k1"), 400, "one device or one group")
        assert_problem(admin.post("/grants", key_id="none", group="g"), 404)
        assert_problem(admin.post("/grants", key_id="k1", group="g", uses=0), 400, "uses")
        assert_problem(admin.post("/grants", key_id="k1", group="g", not_before="tomorrow"), 400)
        assert_problem(admin.post("/grants", key_id="k1", group="g", not_before="0001-01-01T00:00:00Z"), 400)
        assert_problem(admin.post("/grants", key_id="k1", group="g", not_before="2026-01-01T00:00:00"), 400)


class TestTokensAndCodes:
    def test_a_token_is_shown_once_and_revoked(self, admin: Admin) -> None:
        issued = admin.post("/tokens", key_id="k1", label="bench", lifetime="12h").json()
        assert issued["token"].startswith("bsk_")
        assert admin.service.ask(issued["token"]).content == FRAGMENT
        path = f"/tokens/{issued['token_id']}"
        for answer in (admin.get(path), admin.get("/tokens"), admin.post(f"{path}/revoke")):
            assert answer.status_code == 200
            assert issued["token"] not in answer.text
        assert admin.service.ask(issued["token"]).status_code == 403
        assert admin.get(path).json()["state"] == "revoked"

    def test_scopes_and_lifetimes_are_checked(self, admin: Admin) -> None:
        assert_problem(admin.post("/tokens", scopes=["root"]), 400, "scopes")
        assert_problem(admin.post("/tokens", scopes=[]), 400, "scopes")
        assert_problem(admin.post("/tokens", scopes=["admin"], lifetime="9999d"), 400, "3650")
        assert_problem(admin.post("/tokens"), 400, "for a key or a device")
        assert admin.post("/tokens", scopes=["audit:read"]).json()["scopes"] == ["audit:read"]

    def test_a_code_enrols_its_device_once(self, admin: Admin) -> None:
        admin.post("/devices", device_id="d1")
        issued = admin.post("/enrolment-codes", device_id="d1", lifetime="1h").json()
        assert issued["state"] == "open"
        listed = admin.get("/enrolment-codes", device_id="d1")
        assert issued["code"] not in listed.text
        revoked = admin.post(f"/enrolment-codes/{issued['code_id']}/revoke").json()
        assert revoked["state"] == "revoked"
        admin.post("/devices/d1/disable")
        assert_problem(admin.post("/enrolment-codes", device_id="d1"), 409, "disabled")


class TestAudit:
    def test_every_act_is_recorded_with_its_actor_and_the_chain_holds(self, admin: Admin) -> None:
        actor = next(row for row in admin.get("/tokens").json()["items"] if "admin" in row["scopes"])
        admin.post("/keys", key_id="k9")
        admin.post("/devices", device_id="d1", groups=["g"])
        admin.post("/devices/d1/groups", groups=["h"])
        grant = admin.post("/grants", key_id="k9", device_id="d1").json()["grant_id"]
        admin.post(f"/grants/{grant}/revoke")
        token = admin.post("/tokens", device_id="d1").json()["token_id"]
        admin.post(f"/tokens/{token}/revoke")
        code = admin.post("/enrolment-codes", device_id="d1").json()["code_id"]
        admin.post(f"/enrolment-codes/{code}/revoke")
        for path in ("/devices/d1/disable", "/devices/d1/enable", "/keys/k9/retire", "/keys/k9/destroy"):
            admin.post(path)
        kinds = [row["kind"] for row in admin.get("/audit", actor=actor["token_id"]).json()["items"]]
        assert kinds == [
            *("key-create", "device-create", "device-groups", "grant-create", "grant-revoke"),
            *("token-issue", "token-revoke", "code-issue", "code-revoke"),
            *("device-disable", "device-enable", "key-retire", "key-destroy"),
        ]
        verified = admin.get("/audit/verification").json()
        assert verified["is_sound"] is True
        newest = admin.get("/audit", newest_first=True, limit=1).json()["items"][0]
        assert (newest["seq"], newest["mac"]) == (verified["records"], verified["mac"])

    def test_reading_leaves_no_record(self, admin: Admin) -> None:
        before = admin.get("/audit/verification").json()
        for path in ("/keys", "/devices", "/grants", "/tokens", "/enrolment-codes", "/audit"):
            assert admin.get(path).status_code == 200
        assert admin.get("/audit/verification").json() == before


class TestForms:
    @pytest.mark.parametrize(
        "body",
        [
            *(b"{", b"[]", b"null", b'"x"', b"[" * 10_000, b"\xff", b'{"key_id":"a","x":1}', b'{"key_id":1}'),
            *(b'{"key_id":"\\ud800"}', b'{"key_id":"a\\n"}', b'{"key_id":"a","fragment":"!"}', b"{}"),
            *(b'{"key_id":"a","fragment":""}', b'{"key_id":NaN}', b'{"key_id":"' + b"a" * 140_000 + b'"}'),
            b'{"key_id":"a","fragment":"AAA"}',
        ],
    )
    def test_a_malformed_body_is_400_and_makes_no_key(self, admin: Admin, body: bytes) -> None:
        assert_problem(admin.send("/keys", body), 400)
        assert [row["key_id"] for row in admin.get("/keys").json()["items"]] == ["k1"]

    def test_no_problem_repeats_a_secret_that_was_sent(self, admin: Admin) -> None:
        answer = admin.post("/keys", key_id="a", fragment="c2VjcmV0IQ=!")
        assert_problem(answer, 400, "fragment")
        assert "c2Vj" not in answer.text

    @pytest.mark.parametrize(
        "query",
        ["limit=0", "limit=1001", "limit=x", "cursor=x", "state=x", "x=1", "limit=1&limit=2", "state="],
    )
    def test_a_wrong_query_is_400(self, admin: Admin, query: str) -> None:
        assert_problem(admin.get(f"/keys?{query}"), 400)

    def test_members_of_the_path_are_in_no_body(self, admin: Admin) -> None:
        assert_problem(admin.post("/keys/k1/retire", key_id="k1"), 400)
        assert_problem(admin.send("/keys/k1/retire?key_id=k2", b""), 400)


def test_the_committed_description_is_the_services_own() -> None:
    page = FOLDER / "keyservice.json"
    assert page.read_text(encoding="utf-8") == serialise(describe()), "run `make docs`"


def test_the_description_has_every_act(own_service: Service) -> None:
    paths = own_service.ask(path="/openapi.json").json()["paths"]
    described = {
        (operation["operationId"], method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith(PREFIX)
    }
    assert described == {(each.act.name, each.act.method, PREFIX + each.act.path) for each in PERFORMED}
