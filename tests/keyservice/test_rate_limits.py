"""Too many requests, over real HTTP: who is told to wait, and who is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import requests

from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.keyservice.store import Store
from tests.keyservice.conftest import FRAGMENT, HOUR
from tests.keyservice.running import running

PATH = "/binary-split/key-fragment"
LIMITS = ServiceLimits(token_rate=8, device_rate=4, failure_rate=5)


@pytest.fixture
def url(store: Store) -> Iterator[str]:
    with running(store, LIMITS) as (url, _guards):
        yield url


def ask(url: str, token: str, **headers: str) -> requests.Response:
    with requests.Session() as client:
        client.trust_env = False
        return client.get(
            url + PATH,
            headers={"Authorization": f"Bearer {token}", **headers},
            params={"key_id": "k1"},
            timeout=10,
        )


def assert_told_to_wait(answer: requests.Response, longest_s: int = 60) -> None:
    assert answer.status_code == 429
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert 1 <= int(answer.headers["Retry-After"]) <= longest_s
    assert answer.json()["status"] == 429


@pytest.mark.fault(59)
def test_bad_tokens_of_one_address_get_429_and_good_devices_there_are_not_affected(
    url: str, store: Store
) -> None:
    """FAULTS 59."""
    answers: list[int] = []

    def attack(number: int) -> None:
        answers.extend(ask(url, f"bsk_{number}x{turn}").status_code for turn in range(40))

    tokens = [store.tokens.issue("k1", lifetime=HOUR).text for _ in range(20)]
    attackers = [threading.Thread(target=attack, args=(number,)) for number in range(4)]
    for attacker in attackers:
        attacker.start()
    good = [ask(url, token) for token in tokens]
    for attacker in attackers:
        attacker.join()
    assert set(answers) == {401, 429}
    assert answers.count(401) <= LIMITS.failure_rate + 1
    assert [answer.status_code for answer in good] == [200] * 20
    assert {answer.content for answer in good} == {FRAGMENT}
    assert_told_to_wait(ask(url, "bsk_again"), 12)


@pytest.mark.fault(59)
def test_the_attack_leaves_a_count_in_the_audit_and_not_a_line_for_each(url: str, store: Store) -> None:
    for number in range(30):
        ask(url, f"bsk_{number}")
    store.failures.write(all_minutes=True)
    counts = store.audit.page(kind="failures").rows
    assert 1 <= len(counts) <= 2  # a minute may end meanwhile
    assert sum(record.as_json()["detail"]["reasons"]["unknown-token"] for record in counts) == 30


def test_one_token_gets_429_when_it_asks_too_often_and_others_do_not(url: str, store: Store) -> None:
    token = store.tokens.issue("k1", lifetime=HOUR).text
    answers = [ask(url, token) for _ in range(9)]
    assert [answer.status_code for answer in answers] == [200] * 8 + [429]
    assert_told_to_wait(answers[-1])
    assert ask(url, store.tokens.issue("k1", lifetime=HOUR).text).status_code == 200
    released = store.audit.page(kind="release").rows
    assert len(released) == 9, "what was refused left no record of a release"


def test_a_second_token_gives_a_device_no_second_pace(url: str, store: Store) -> None:
    store.devices.add("drone-7")
    store.grants.add("k1", device_id="drone-7")
    tokens = [store.tokens.issue(device_id="drone-7", lifetime=HOUR).text for _ in range(2)]
    answers = [ask(url, tokens[turn % 2]).status_code for turn in range(6)]
    assert answers == [200] * 4 + [429] * 2


def test_a_forwarded_address_is_not_believed_from_just_anybody(url: str) -> None:
    answers = [ask(url, "bsk_bad", **{"X-Forwarded-For": f"192.0.2.{number}"}) for number in range(8)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3


def test_a_trusted_proxy_names_the_address_and_what_a_client_prepends_is_not_believed(store: Store) -> None:
    limits = ServiceLimits(failure_rate=5, trusted_proxies=("127.0.0.0/8",))
    with running(store, limits) as (url, _guards):
        for number in range(6):
            # the client's own lie first, then what the proxy saw
            last = ask(url, "bsk_bad", **{"X-Forwarded-For": f"203.0.113.{number}, 192.0.2.1"})
        assert_told_to_wait(last)
        assert ask(url, "bsk_bad", **{"X-Forwarded-For": "192.0.2.2"}).status_code == 401
        token = store.tokens.issue("k1", lifetime=HOUR).text
        assert ask(url, token, **{"X-Forwarded-For": "192.0.2.1"}).status_code == 200
    record = store.audit.page(kind="release").rows[-1]
    assert record.as_json()["detail"]["source"] == "192.0.2.1"
