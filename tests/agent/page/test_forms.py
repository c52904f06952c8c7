"""Signing in and the page's forms, asked as no browser would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest

from binary_split.agent.app import AgentLimits
from binary_split.unlock.states import State
from tests.agent.asking import Answer, Door
from tests.agent.page.serving import Site, serving
from tests.agent.places import AGENT_TOKEN, Place
from tests.commandline import CommandLine

pytestmark = pytest.mark.slow

FORM = "application/x-www-form-urlencoded"


@dataclass
class Person:
    """Somebody at a browser that runs no script, on plain http: cookies, pages, forms."""

    door: Door
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str = "/", **headers: str) -> Answer:
        return self._keep(self.door.ask("GET", path, **self._cookie(), **headers))

    def post(self, path: str, *, kind: str = FORM, **fields: str) -> Answer:
        answer = self.door.ask("POST", path, urlencode(fields), Content_Type=kind, **self._cookie())
        return self._keep(answer)

    def form_token(self, path: str = "/") -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.get(path).text)
        assert found is not None
        return found[1]

    def sign_in(self, token: str = AGENT_TOKEN) -> Answer:
        return self.post("/sign-in", form_token=self.form_token("/sign-in"), token=token)

    def _cookie(self) -> dict[str, str]:
        text = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": text} if text else {}

    def _keep(self, answer: Answer) -> Answer:
        for line in answer.headers.get_all("set-cookie", []):
            pair, *attributes = line.split("; ")
            assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes)
            name, _, value = pair.partition("=")
            self.cookies[name] = value
        return answer


@pytest.fixture
def site(place: Place) -> Iterator[Site]:
    with serving(place) as running:
        yield running


@pytest.fixture
def person(site: Site) -> Person:
    return Person(Door(int(site.url.rpartition(":")[2])))


def wait_until_idle(site: Site) -> None:
    number = -1
    while site.unlocker.status().is_running:
        following = site.unlocker.wait_for(number, 20)
        assert following is not None
        number = following.number


def test_a_stranger_is_sent_to_sign_in_from_every_page(person: Person) -> None:
    for path in ("/", "/doctor"):
        answer = person.get(path)
        assert (answer.status, answer.headers["location"]) == (303, "/sign-in")
    for path in ("/page/unlock", "/page/cancel", "/page/doctor"):
        answer = person.post(path)
        assert (answer.status, answer.headers["location"]) == (303, "/sign-in")


def test_the_agents_token_signs_in_for_an_hour(person: Person) -> None:
    answer = person.sign_in()
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert any("Max-Age=3600" in line for line in answer.headers.get_all("set-cookie", []))
    assert person.get().status == 200
    again = person.get("/sign-in")
    assert (again.status, again.headers["location"]) == (303, "/")


def test_another_token_does_not(person: Person, place: Place) -> None:
    for token in ("", "x", place.token, AGENT_TOKEN + "x"):
        answer = person.sign_in(token)
        assert answer.status == 403
        assert "This token does not work here." in answer.text
        assert not token or len(token) < 2 or token not in answer.text
    assert person.get().status == 303


def test_no_other_site_can_sign_somebody_in(person: Person) -> None:
    assert person.post("/sign-in", token=AGENT_TOKEN).status == 403
    stranger = Person(person.door)
    assert (
        person.post("/sign-in", token=AGENT_TOKEN, form_token=stranger.form_token("/sign-in")).status == 403
    )
    assert person.get().status == 303


def test_signing_out_ends_the_session_wherever_its_cookie_is(person: Person) -> None:
    person.sign_in()
    copied = Person(person.door, dict(person.cookies))
    assert copied.get().status == 200
    answer = person.post("/sign-out", form_token=person.form_token())
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in")
    assert copied.get().status == 303


def test_a_form_without_its_token_changes_nothing_and_shows_the_page_again(
    person: Person, site: Site
) -> None:
    person.sign_in()
    wait_until_idle(site)
    for path in ("/page/unlock", "/page/cancel", "/page/doctor"):
        for fields in ({}, {"form_token": "made-up"}):
            answer = person.post(path, **fields)
            assert answer.status == 403
            assert "This page was too old." in answer.text
        assert person.post(path, kind="text/plain", form_token=person.form_token()).status == 403
    assert person.post("/sign-out").headers["location"] == "/"
    assert person.get().status == 200
    assert site.unlocker.status().state is State.IDLE


def test_a_form_unlocks_and_an_archive_that_is_not_configured_is_explained(
    person: Person, site: Site
) -> None:
    person.sign_in()
    wait_until_idle(site)
    wrong = person.post("/page/unlock", form_token=person.form_token(), archive="../../etc/passwd")
    assert wrong.status == 409
    assert "The archive that was asked for is not configured here." in wrong.text
    right = person.post("/page/unlock", form_token=person.form_token(), archive="stick")
    assert (right.status, right.headers["location"]) == (303, "/")
    wait_until_idle(site)
    assert site.unlocker.status().state is State.READY
    assert "Ready" in person.get().text


def test_every_page_leaves_under_a_strict_policy_and_is_not_kept(person: Person) -> None:
    pages = [person.get("/sign-in")]
    person.sign_in()
    pages += [person.get("/"), person.get("/doctor"), person.get("/?lang=uk"), person.post("/page/unlock")]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-frame-options"] == "DENY"
        assert not re.search(r"<script(?! src=)| style=| on[a-z]+=|javascript:", page.text)
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", page.text)


@pytest.mark.fault(38)
def test_no_page_holds_a_secret(person: Person, site: Site, place: Place) -> None:
    person.sign_in()
    wait_until_idle(site)
    typed = "bsk_typed-into-the-page-0123456789"
    person.post("/page/unlock", form_token=person.form_token(), token=typed)
    wait_until_idle(site)
    session = person.cookies["binary-split-agent-session"]
    for path in ("/", "/doctor", "/unlock/status"):
        text = person.get(path).text
        assert not [secret for secret in (typed, place.token, AGENT_TOKEN, session) if secret in text]


def test_a_session_uses_the_api_from_our_own_page(person: Person, site: Site) -> None:
    person.sign_in()
    assert person.get("/unlock/status").status == 200
    assert person.get("/unlock/status", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="empty").status == 403
    assert person.post("/unlock", kind="application/json").status == 403


def test_who_guesses_tokens_is_told_to_wait_and_the_right_one_still_works(place: Place) -> None:
    with serving(place, AgentLimits(failure_rate=3)) as site:
        guesser = Person(Door(int(site.url.rpartition(":")[2])))
        statuses = [guesser.sign_in(f"guess-{number}-0123456789").status for number in range(6)]
        assert statuses == [403, 403, 403, 429, 429, 429]
        assert guesser.sign_in().status == 303


def test_on_the_unix_socket_nobody_signs_in_and_forms_are_bound_all_the_same(
    place: Place, cli: CommandLine
) -> None:
    with place.agent_started(cli):
        person = Person(Door(path=place.socket))
        page = person.get()
        assert page.status == 200
        assert "Sign out" not in page.text
        assert person.post("/page/unlock", archive="stick").status == 403
        assert Person(person.door).post("/page/unlock", form_token=person.form_token()).status == 403
        assert person.post("/page/unlock", form_token=person.form_token()).status == 303
        assert person.get("/sign-in").headers["location"] == "/"
