"""Who may ask, what is answered, and what bounds there are."""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from binary_split.agent.app import AgentLimits
from binary_split.config import LIMITS
from binary_split.errors import ConfigError
from binary_split.service.listener import unix_listener
from scripts.openapi import FOLDER, describe, serialise
from tests.agent.clients import Client
from tests.agent.places import UNLIMITED, Place
from tests.agent.schema import run_against
from tests.keyservice.test_pages import Links

ROUTES = [
    ("POST", "/unlock"),
    ("GET", "/unlock/status"),
    ("GET", "/unlock/events"),
    ("POST", "/unlock/cancel"),
]
PROBLEM = "application/problem+json"
GENEROUS = replace(UNLIMITED, body_bytes=1 << 20)  # no description can say that a long body is refused


def test_nothing_but_the_probes_and_the_description_is_open_without_the_token(place: Place) -> None:
    with place.agent_running(by_token=True) as agent:
        stranger = Client(agent.url)
        for method, path in ROUTES:
            answer = stranger.ask(method, path)
            assert (answer.status, answer.headers["Content-Type"]) == (401, PROBLEM), path
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            wrong = stranger.ask(method, path, Authorization="Bearer agent-token-of-somebody-else")
            assert wrong.status == 401
            assert stranger.ask(method, path, Authorization="Bearer a b").status == 400
        for path in ("/healthz", "/openapi.json", "/docs"):
            assert stranger.ask("GET", path).status == 200
        assert agent.ask("GET", "/unlock/status").status == 200


def test_the_unix_socket_is_open_to_its_owner_and_group_alone(place: Place) -> None:
    with place.agent_running() as agent:
        assert place.socket.stat().st_mode & 0o777 == 0o660
        assert agent.ask("GET", "/unlock/status").status == 200
    assert not place.socket.exists()


def test_a_socket_that_a_killed_agent_left_is_taken_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with unix_listener(path), pytest.raises(ConfigError, match="something is there"), unix_listener(path):
        pass
    path.write_text("a file")
    with pytest.raises(ConfigError, match="something is there"), unix_listener(path):
        pass
    assert path.read_text() == "a file"


def test_failed_tokens_of_an_address_are_bounded_and_the_right_one_still_works(place: Place) -> None:
    limits = AgentLimits(failure_rate=3)
    with place.agent_running(limits, by_token=True) as agent:
        stranger = Client(agent.url, "agent-token-of-somebody-else")
        statuses = [stranger.ask("GET", "/unlock/status").status for _try in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        assert agent.ask("GET", "/unlock/status").status == 200


def test_wishes_are_bounded_and_looking_is_not(place: Place) -> None:
    with place.agent_running(AgentLimits(wish_rate=3)) as agent:
        agent.wait()
        answers = [agent.cancel() for _try in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["Retry-After"]) > 0
        assert agent.unlock().status == 429
        assert all(agent.ask("GET", "/unlock/status").status == 200 for _try in range(20))


def test_a_long_or_wrong_body_is_refused_and_not_quoted(place: Place) -> None:
    with place.agent_running() as agent:
        long = agent.ask("POST", "/unlock", {"token": "x" * LIMITS.agent_body_bytes})
        assert (long.status, long.headers["Content-Type"]) == (413, PROBLEM)
        wrong: list[object] = [
            {"token": 7},
            {"path": "/etc/passwd"},
            {"archive": "A"},
            {"version": "/"},
            [],
            "x",
        ]
        for document in wrong:
            answer = agent.ask("POST", "/unlock", document)
            assert (answer.status, answer.headers["Content-Type"]) == (422, PROBLEM), document
            assert b"passwd" not in answer.body
        assert agent.status()["started_at"] is None


def test_no_answer_of_the_unlock_is_kept_by_a_cache(place: Place) -> None:
    with place.agent_running() as agent:
        for method, path in ROUTES[:2] + ROUTES[3:]:
            assert agent.ask(method, path).headers["cache-control"] == "no-store"


def test_the_docs_page_loads_only_files_of_the_agent(place: Place) -> None:
    with place.agent_running() as agent:
        page = agent.ask("GET", "/docs").body.decode()
        found = Links()
        found.feed(page)
        assert not found.inline
        assert not re.search(r"https?://", page)
        loaded = [link for link in found.links if link != "data:,"]
        assert len(loaded) == 3
        for link in loaded:
            assert agent.ask("GET", f"/{link}").status == 200


def test_the_committed_description_is_the_agents_own(place: Place) -> None:
    committed = (FOLDER / "agent.json").read_text(encoding="utf-8")
    assert committed == serialise(describe("agent")), "run `make docs`"


@pytest.mark.slow
def test_no_answer_breaks_the_description_and_none_is_a_5xx(place: Place, tmp_path: Path, seed: int) -> None:
    with place.agent_running(GENEROUS, by_token=True) as agent:
        run_against(agent.url, tmp_path, seed=seed, examples=8, seconds=20)


@pytest.mark.soak(minutes=1)
def test_no_answer_breaks_the_description_in_many_tries(place: Place, tmp_path: Path, seed: int) -> None:
    with place.agent_running(GENEROUS, by_token=True) as agent:
        run_against(agent.url, tmp_path, seed=seed, examples=400, seconds=50)
