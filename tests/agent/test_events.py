"""The stream of events: what a reader is told, and that no reader holds anything up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from binary_split.config import LIMITS, Limits
from tests.agent.clients import Client, Event
from tests.agent.places import Place

pytestmark = pytest.mark.slow


def test_a_reader_is_told_each_step_in_order_up_to_ready(place: Place) -> None:
    with place.agent_running() as agent, agent.following() as events:
        first = next(events)
        agent.wait()
        agent.unlock()
        seen = [first]
        for event in events:
            seen.append(event)
            if event.status["state"] == "ready":
                break
    numbers = [event.id for event in seen]
    assert numbers == sorted(set(numbers))
    assert [event.status["number"] for event in seen] == numbers
    assert all(image["state"] == "verified" for image in seen[-1].status["images"])


def test_events_do_not_come_faster_than_they_can_be_read(place: Place) -> None:
    with place.agent_running() as agent, agent.following() as events:
        seen = [next(events)]
        for _round in range(3):
            agent.unlock()
            agent.wait()
        seen += _until(events, agent.status()["number"])
    # on the whole: on a busy machine one is read late, and the next one soon after it
    assert seen[-1].at - seen[0].at > (len(seen) - 1) * LIMITS.agent_event_s * 0.5


def test_a_reader_that_comes_back_is_told_only_what_is_new(place: Place) -> None:
    with place.agent_running() as agent:
        agent.wait()
        with agent.following() as events:
            last = next(events)
        with agent.following(Last_Event_ID=str(last.id)) as events:
            agent.unlock()
            assert next(events).id > last.id
        for lost in ("999999999", "no number", "-1"):
            with agent.following(Last_Event_ID=lost) as events:
                assert next(events).id >= last.id


def test_numbers_grow_over_a_restart(place: Place) -> None:
    with place.agent_running() as agent:
        agent.unlock()
        before = agent.wait()["number"]
    with place.agent_running() as agent:
        after = agent.wait()
    assert after["number"] > before
    assert after["state"] == "ready"


@pytest.mark.fault(50)
def test_readers_that_disappear_or_read_nothing_hold_up_nobody(place: Place) -> None:
    with place.agent_running() as agent, ExitStack() as stack:
        for _reader in range(5):
            with agent.following() as events:
                next(events)
        for _silent in range(3):
            stack.enter_context(agent.following())
        agent.unlock()
        assert agent.wait()["state"] == "ready"


def test_readers_are_bounded_and_a_place_is_free_again_once_one_leaves(place: Place) -> None:
    with place.agent_running() as agent:
        with ExitStack() as stack:
            for _reader in range(LIMITS.agent_streams):
                next(stack.enter_context(agent.following()))
            refused = agent.ask("GET", "/unlock/events")
            assert refused.status == 503
            assert refused.headers["Retry-After"]
            assert agent.status()["state"] == "idle"
        deadline = time.monotonic() + 10
        while (status := _open_status(agent)) != 200:
            assert time.monotonic() < deadline, status
            time.sleep(0.1)


def test_an_idle_stream_beats_and_ends_when_the_agent_does(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("binary_split.agent.events.LIMITS", Limits(agent_heartbeat_s=0.3))
    with ExitStack() as stack:
        with place.agent_running() as agent:
            agent.wait()
            answer = stack.enter_context(agent.asking("GET", "/unlock/events", None))
            lines = iter(answer.readline, b"")
            assert any(line.startswith(b":") for line in lines)
            started = time.monotonic()
        assert time.monotonic() - started < 5
        rest = b"".join(lines)  # the end of a chunked answer, in order: an early one would raise
        assert b"Traceback" not in rest


def _open_status(agent: Client) -> int:
    with agent.asking("GET", "/unlock/events", None) as answer:
        return answer.status


def _until(events: Iterator[Event], number: int) -> Iterator[Event]:
    for event in events:
        yield event
        if event.id >= number:
            return
