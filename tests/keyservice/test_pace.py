"""How often each may, and what is kept of whom."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from starlette.types import Message, Receive, Scope, Send

from binary_split.errors import ConfigError, RateLimitedError
from binary_split.keyservice.release_pace import ReleasePace
from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.service.pace import MOST_KEYS, Pace, parse_source
from binary_split.service.throttle import FailureThrottle


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_minutes_worth_may_come_at_once_and_the_rest_on_schedule() -> None:
    clock = Seconds()
    pace = Pace(60, clock=clock)
    assert [pace.take("a") for _ in range(60)] == [0.0] * 60
    assert pace.take("a") == pytest.approx(1.0)
    clock.now += 0.9
    assert pace.take("a") == pytest.approx(0.1)
    clock.now += 0.1
    assert pace.take("a") == 0.0
    assert pace.take("a") == pytest.approx(1.0)


def test_whoever_waits_as_told_is_served_however_often_it_was_refused() -> None:
    clock = Seconds()
    pace = Pace(6, clock=clock)
    for _ in range(6):
        pace.take("a")
    waits = [pace.take("a") for _ in range(100)]
    assert max(waits) == pytest.approx(10.0)
    clock.now += waits[-1] + 1e-6
    assert pace.take("a") == 0.0


def test_one_key_does_not_slow_another() -> None:
    pace = Pace(1, clock=Seconds())
    assert pace.take("a") == 0.0
    assert pace.take("a") > 0
    assert pace.take("b") == 0.0


def test_no_rate_sets_no_bound_and_keeps_nothing() -> None:
    pace = Pace(0)
    assert [pace.take("a") for _ in range(1000)] == [0.0] * 1000
    assert len(pace) == 0


@pytest.mark.fault(59)
@pytest.mark.parametrize("attempts", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak(minutes=0.7))])
def test_bad_tokens_get_429_and_a_good_one_is_served_between_them(attempts: int) -> None:
    statuses: Counter[int] = Counter()
    scope = {"type": "http", "client": ("192.0.2.1", 1), "method": "GET", "path": "/", "headers": []}

    async def service(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200 if scope["is_good"] else 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses[message["status"]] += 1

    async def attack() -> None:
        guarded = FailureThrottle(service, pace=Pace(60, clock=Seconds()))
        for number in range(attempts):
            await guarded({**scope, "is_good": False}, receive, send)
            if number % 1000 == 0:
                await guarded({**scope, "is_good": True}, receive, send)

    asyncio.run(attack())
    assert statuses == {401: 60, 429: attempts - 60, 200: attempts // 1000}


@pytest.mark.fault(59)
@pytest.mark.slow
def test_a_million_addresses_take_bounded_memory() -> None:
    pace = Pace(60, clock=Seconds())
    for number in range(1_000_000):
        pace.take(str(number))
    assert len(pace) == MOST_KEYS


def test_what_is_on_schedule_again_is_forgotten() -> None:
    clock = Seconds()
    pace = Pace(60, clock=clock)
    for number in range(1000):
        pace.take(str(number))
    clock.now += 60
    for number in range(1000):
        pace.take(f"later {number}")
    assert len(pace) <= 1001


def test_a_device_with_two_tokens_has_one_pace() -> None:
    pace = ReleasePace(per_token=Pace(60, clock=Seconds()), per_device=Pace(2, clock=Seconds()))
    pace.verify("tok_1", "drone-7")
    pace.verify("tok_2", "drone-7")
    with pytest.raises(RateLimitedError) as caught:
        pace.verify("tok_1", "drone-7")
    assert caught.value.retry_after_s == 30
    pace.verify("tok_3", "drone-8")


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("<script>", "-"),
        ("bsk_" + "A" * 43, "-"),
        ("", "-"),
    ],
)
def test_an_ipv6_site_is_one_source_and_what_is_no_address_is_none(host: str, source: str) -> None:
    assert parse_source(host) == source


@pytest.mark.parametrize("proxy", ["proxy.example.com", "10.0.0.1/24", "*", ""])
def test_a_trusted_proxy_is_an_address_or_a_network(proxy: str) -> None:
    with pytest.raises(ConfigError, match="not an address"):
        ServiceLimits(trusted_proxies=(proxy,))
