"""The console over real HTTPS, without a browser: sessions, forms, and what a page never holds."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest
import requests
from sqlalchemy import select, text

from binary_split.keyservice.console import views
from binary_split.keyservice.console.orders import ORDERS
from binary_split.keyservice.console.rendering import FOLDER
from binary_split.keyservice.console.views import VIEWS
from binary_split.keyservice.database import reading, writing
from binary_split.keyservice.schema import SESSIONS
from binary_split.keyservice.serve import build_store_server
from binary_split.keyservice.tokens import hash_token
from binary_split.service.listener import listener_url, open_listener
from binary_split.service.server import run_server
from tests.keyservice.conftest import HOUR, Service
from tests.keyservice.console.conftest import Arrive, Person

pytestmark = pytest.mark.slow  # a service runs for each

PATHS = ["/" + path + ("none" if path.endswith("/") else "") if path else "" for path in VIEWS]


def assert_is_at_the_door(answer: requests.Response) -> None:
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/sign-in")


class TestHeaders:
    @pytest.mark.parametrize("path", [*PATHS, "/sign-in"])
    def test_every_answer_is_uncacheable_and_allows_no_script_and_no_other_host(
        self, person: Person, path: str
    ) -> None:
        answer = person.get(path)
        assert answer.status_code in {200, 404}
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = dict(
            part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["form-action"] == policy["style-src"] == "'self'"
        assert "script-src" not in policy
        assert "<script" not in answer.text
        assert " style=" not in answer.text

    def test_its_files_name_no_other_host(self) -> None:
        files = [file for file in FOLDER.rglob("*") if file.suffix in {".html", ".css", ".svg"}]
        assert len(files) > 10
        for file in files:
            text = file.read_text().replace("http://www.w3.org/2000/svg", "")
            assert "://" not in text, file


class TestSigningIn:
    @pytest.mark.parametrize("path", PATHS)
    def test_whoever_is_not_signed_in_is_sent_to_the_door(self, arrive: Arrive, path: str) -> None:
        assert_is_at_the_door(arrive().get(path))

    def test_the_cookie_is_for_this_host_over_https_and_no_script(self, arrive: Arrive) -> None:
        answer = arrive().sign_in()
        cookie = next(
            value
            for value in answer.headers["Set-Cookie"].split(", ")
            if value.startswith("__Host-binary-split-session=")
        )
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "secure", "samesite=strict", "path=/", "max-age=3600"} <= attributes
        assert not any(part.startswith("domain") for part in attributes)

    def test_the_store_keeps_a_hash_of_the_session_and_the_audit_who_came(self, person: Person) -> None:
        store = person.service.store
        with reading(store.engine) as connection:
            hashes = list(connection.scalars(select(SESSIONS.c.session_hash)))
        assert hashes == [hash_token(str(person.session))]
        (record,) = store.audit.page(kind="sign-in").rows
        assert record.actor.startswith("tok_")

    def test_a_session_that_somebody_else_chose_is_not_taken_over(self, arrive: Arrive) -> None:
        person = arrive()
        person.client.cookies.set("__Host-binary-split-session", "chosen", domain="127.0.0.1", secure=True)
        assert_is_at_the_door(person.get())
        person.sign_in()
        assert person.session not in {None, "chosen"}

    def test_signing_in_again_ends_the_session_before(self, person: Person) -> None:
        before = str(person.session)
        person.sign_in()
        assert person.session != before
        assert person.service.store.sessions.find(before) is None

    def test_tokens_that_may_not_look_alike(self, arrive: Arrive) -> None:
        person = arrive()
        tokens = person.service.store.tokens
        expired = tokens.issue(None, lifetime=timedelta(minutes=1), scopes=("admin",)).text
        revoked = tokens.issue(None, lifetime=HOUR, scopes=("admin",))
        tokens.revoke(revoked.record.token_id)
        auditor = tokens.issue(None, lifetime=HOUR, scopes=("audit:read",)).text
        person.service.clock.time += timedelta(minutes=2)
        tried = ("bsk_unknown", "x" * 5000, expired, revoked.text, auditor, person.service.issue())
        answers = [person.sign_in(token) for token in tried]
        assert {answer.status_code for answer in answers} == {403}
        assert len({answer.content for answer in answers}) == 1
        assert person.session is None

    def test_another_site_cannot_sign_somebody_in(self, arrive: Arrive) -> None:
        person, stranger = arrive(), arrive()
        for fields in ({}, {"form_token": ""}, {"form_token": stranger.form_token("/sign-in")}):
            assert person.post("/sign-in", {**fields, "token": person.token}).status_code == 403
        good = {"form_token": person.form_token("/sign-in"), "token": person.token}
        assert person.post("/sign-in", good, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert person.session is None

    def test_a_token_in_the_url_is_none(self, arrive: Arrive) -> None:
        person = arrive()
        assert_is_at_the_door(person.get(f"?token={person.token}"))

    def test_on_loopback_without_tls_the_cookie_is_one_that_a_browser_keeps(
        self, own_service: Service
    ) -> None:
        with open_listener("127.0.0.1", 0, plain=True) as listener:
            server = build_store_server(own_service.store, None)
            thread = threading.Thread(target=run_server, args=(server, listener))
            thread.start()
            url = listener_url(listener, plain=True)
            cookie = requests.get(f"{url}/console/sign-in", timeout=10).headers["Set-Cookie"]
            server.should_exit = True
            thread.join(timeout=10)
        assert cookie.startswith("binary-split-visit=")
        assert "secure" not in cookie.lower()
        assert "httponly" in cookie.lower()


class TestEnd:
    def test_a_session_ends_after_an_hour(self, person: Person) -> None:
        person.service.clock.time += timedelta(minutes=59)
        assert person.get().status_code == 200
        person.service.clock.time += timedelta(minutes=2)
        assert_is_at_the_door(person.get())

    def test_a_session_ends_with_its_token(self, person: Person) -> None:
        found = person.service.store.tokens.find(person.token)
        assert found is not None
        person.service.store.tokens.revoke(found.token_id)
        assert_is_at_the_door(person.get())
        assert_is_at_the_door(person.post("/acts/createKey", {"key_id": "x"}))

    def test_signing_out_ends_it_for_whoever_has_the_cookie(self, person: Person) -> None:
        cookie = str(person.session)
        assert_is_at_the_door(person.post("/sign-out", {"form_token": person.form_token()}))
        assert person.service.store.sessions.find(cookie) is None

    def test_another_site_cannot_sign_somebody_out(self, person: Person) -> None:
        assert person.post("/sign-out", {"form_token": "x"}).headers["Location"] == "/console"
        assert person.get().status_code == 200


class TestForms:
    @pytest.mark.parametrize("act", sorted(ORDERS))
    def test_a_form_of_another_session_is_refused(self, person: Person, arrive: Arrive, act: str) -> None:
        stranger = arrive()
        stranger.sign_in()
        before = person.service.store.audit.verify()
        fields = {"key_id": "k1", "confirm": "k1", "new_key_id": "k9", "plain_release": "allowed"}
        for token in (stranger.form_token(), "", "x"):
            assert person.post(f"/acts/{act}", {**fields, "form_token": token}).status_code == 403
        assert person.post(f"/acts/{act}", fields).status_code == 403
        assert person.service.store.audit.verify() == before

    def test_a_form_that_another_site_sends_is_refused(self, person: Person) -> None:
        fields = {"form_token": person.form_token(), "key_id": "k9"}
        for site in ("cross-site", "same-site"):
            assert person.post("/acts/createKey", fields, **{"Sec-Fetch-Site": site}).status_code == 403
        assert person.post("/acts/createKey", fields, **{"Sec-Fetch-Site": "same-origin"}).status_code == 303

    def test_nothing_is_done_by_a_link(self, person: Person) -> None:
        assert person.get("/acts/destroyKey?key_id=k1&confirm=k1").status_code == 405
        assert person.service.store.keys.find("k1").state == "active"

    def test_a_body_of_another_kind_is_no_form(self, person: Person) -> None:
        answer = person.post("/acts/createKey", "{}", **{"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert person.post("/acts/createKey", b"\xff=%").status_code == 400
        assert person.post("/acts/createKey", b"a=" + b"x" * 200_000).status_code == 400

    def test_everything_that_a_form_orders_is_done_by_its_person(self, person: Person) -> None:
        store = person.service.store
        bounds = {"not_before": "2026-01-01T10:00", "not_after": "2026-02-01T10:00", "uses": "3"}
        assert person.order("createKey", key_id="k9", plain_release="allowed").status_code == 303
        assert person.order("registerDevice", device_id="d1", groups="a b").status_code == 303
        assert person.order("setGroups", device_id="d1", groups="c, d").status_code == 303
        assert store.devices.find("d1").groups == ("c", "d")
        assert person.order("createGrant", key_id="k9", device_id="d1", **bounds).status_code == 303
        (grant,) = store.grants.page().rows
        assert (grant.uses_left, str(grant.not_before)) == (3, "2026-01-01 10:00:00+00:00")
        person.order("revokeGrant", grant_id=grant.grant_id)
        person.order("rotateKey", key_id="k9", new_key_id="k10")
        person.order("setPlainRelease", key_id="k10", plain_release="refused")
        person.order("retireKey", key_id="k10")
        assert person.order("destroyKey", key_id="k10", confirm="k9").status_code == 400
        assert store.keys.find("k10").state == "retired"
        person.order("destroyKey", key_id="k10", confirm="k10")
        assert store.keys.find("k10").state == "destroyed"
        person.order("disableDevice", device_id="d1")
        person.order("enableDevice", device_id="d1")
        found = store.tokens.find(person.token)
        assert found is not None
        kinds = [record.kind for record in store.audit.page(actor=found.token_id).rows]
        assert kinds == [
            *("sign-in", "key-create", "device-create", "device-groups", "grant-create", "grant-revoke"),
            *("key-create", "key-retire", "key-policy", "key-retire", "key-destroy"),
            *("device-disable", "device-enable"),
        ]

    def test_a_mistake_is_told_where_it_was_made_and_what_was_typed_is_kept(self, person: Person) -> None:
        answer = person.order("registerDevice", device_id="Not A Name", label="bench 3")
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text
        assert 'value="bench 3"' in answer.text
        answer = person.order("createKey", key_id="k1", fragment="c2VjcmV0")
        assert answer.status_code == 409
        assert "exists already" in answer.text
        assert "c2VjcmV0" not in answer.text


class TestSecrets:
    def test_a_token_and_a_code_are_shown_once(
        self, person: Person, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        store = person.service.store
        store.devices.add("d1")
        token = person.order("issueToken", device_id="d1", scopes="fragment:read", lifetime="1d").text
        shown = token.partition("<textarea")[2].partition(">")[2].partition("<")[0]
        assert store.tokens.find(shown) is not None
        code = person.order("issueEnrolmentCode", device_id="d1", lifetime="1d").text
        code = code.partition("<textarea")[2].partition(">")[2].partition("<")[0]
        assert code.startswith("bse_")
        secrets = (shown, code, person.token, str(person.session))
        for path in ("", "/tokens", "/enrolment", "/devices/d1", "/audit"):
            page = person.get(path).text
            assert not any(secret in page for secret in secrets)
        assert not any(secret in caplog.text for secret in secrets)

    def test_what_people_type_is_text_and_never_markup(self, person: Person) -> None:
        person.order("registerDevice", device_id="d1", label="<script>alert(1)</script>\"'>")
        for path in ("/devices", "/devices/d1"):
            page = person.get(path).text
            assert "<script" not in page
            assert "&lt;script&gt;" in page
        assert "<b>" not in person.get("/audit?kind=%3Cb%3E").text


class TestLists:
    def test_pages_and_filters(self, person: Person) -> None:
        for number in range(60):
            person.service.store.devices.add(f"d{number:02}", groups=["even"] if number % 2 == 0 else [])
        first = person.get("/devices").text
        assert "d49" in first
        assert "d50" not in first
        link = first.partition('rel="next"')[0].rpartition('href="')[2].rstrip('" ').replace("&amp;", "&")
        second = person.get("/devices" + link).text
        assert "d50" in second
        assert "d49" not in second
        even = person.get("/devices?group=even&state=").text
        assert "d02" in even
        assert "d03" not in even

    def test_a_device_of_which_there_is_more_than_its_page_shows_leads_to_the_rest(
        self, person: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(views, "PAGE_ROWS", 1)
        store = person.service.store
        store.devices.add("d1")
        links = {f"/{list_}?device_id=d1" for list_ in ("grants", "tokens", "enrolment")}

        def shown() -> set[str]:
            return {link for link in links if f'href="/console{link}"' in person.get("/devices/d1").text}

        for _ in range(2):
            assert shown() == set()
            store.grants.add("k1", device_id="d1")
            store.tokens.issue(lifetime=HOUR, device_id="d1")
            store.enrolment.issue("d1", lifetime=HOUR)
        assert shown() == links
        assert {person.get(link).status_code for link in links} == {200}

    @pytest.mark.parametrize(
        "path",
        ["/keys/none", "/devices/none", "/keys/K1", "/keys?cursor=x", "/devices?state=x", "/audit?kind=%00"],
    )
    def test_what_does_not_exist_is_said_in_a_page(self, person: Person, path: str) -> None:
        answer = person.get(path)
        assert answer.status_code in {400, 404}
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "That did not work" in answer.text

    def test_a_broken_chain_is_shown(self, person: Person) -> None:
        assert "Sound:" in person.get("/audit?verify=1").text
        with writing(person.service.store.engine) as connection:
            connection.execute(text("UPDATE audit SET actor = 'somebody' WHERE seq = 2"))
        answer = person.get("/audit?verify=1").text
        assert "Broken: audit record 2 was altered" in answer
