"""Power cuts: the agent and the engine are killed in the middle of an unlock through the agent."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator

import pytest

from bed.dockerd import PrivateDockerd
from tests.agent.clients import Client
from tests.agent.places import Place, Vendor
from tests.archives import FRAGMENT, parse_pins
from tests.canary import assert_in_no_file, canary_of, shapes_of
from tests.commandline import CommandLine
from tests.releases import AgeRelease
from tests.reporting.soaking import Rounds

pytestmark = pytest.mark.slow
AGENT_KILLS, ENGINE_KILLS = 5, 3
SOAK_AGENT_KILLS, SOAK_ENGINE_KILLS = 200, 50
_SETTLED_S = 30


class Bench:
    """A device whose agent is a process, to be killed."""

    def __init__(self, place: Place, cli: CommandLine, bed: PrivateDockerd, release: AgeRelease) -> None:
        self.place, self.bed, self.release = place, bed, release
        self.cli = cli.with_environment(DOCKER_HOST=bed.host)
        self.numbers = [-1]

    @contextlib.contextmanager
    def agent(self) -> Iterator[Client]:
        with self.place.agent_started(self.cli) as (_process, agent):
            yield agent

    def note(self, status: dict[str, object]) -> None:
        """Check that no number comes twice, whoever was killed between."""
        number = status["number"]
        assert isinstance(number, int)
        assert number > self.numbers[-1]
        self.numbers.append(number)

    def assert_whole_or_not_at_all(self, *, is_ready: bool) -> None:
        deadline = time.monotonic() + _SETTLED_S
        while self.bed.leftovers() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert parse_pins(self.bed.image_ids()) == (dict(self.release.pins) if is_ready else {})
        self.assert_no_plaintext()

    def assert_no_plaintext(self) -> None:
        secrets = (*shapes_of(FRAGMENT), *shapes_of(self.place.token.encode()))
        words = [*map(canary_of, self.release.images), *secrets]
        assert_in_no_file(words, self.place.state, self.cli.home, self.bed.data_root / "tmp")

    def forget(self) -> None:
        for ref in self.release.images:
            self.bed.docker("image", "rm", "--force", str(ref), check=False)


@pytest.fixture
def bench(docked: Place, cli: CommandLine, fresh_device: PrivateDockerd, large: AgeRelease) -> Bench:
    return Bench(docked, cli, fresh_device, large)


def _time_one(bench: Bench) -> float:
    with bench.agent() as agent:
        agent.wait()
        started = time.monotonic()
        agent.unlock()
        bench.note(agent.wait())
        return time.monotonic() - started


def _kill_agents(bench: Bench, kills: Iterator[int], chance: random.Random, *, resume: bool) -> None:
    """Kill the agent at points of an unlock; each next one tells the truth, and goes on if it may."""
    bench.place = bench.place.with_(agent={"resume": resume})
    whole = _time_one(bench)
    for _kill in kills:
        bench.forget()
        with bench.agent() as agent:
            agent.wait()
            agent.unlock()
            time.sleep(chance.uniform(0.0, 1.0) * whole)
            bench.note(agent.status())
        with bench.agent() as agent:
            found = agent.wait()
            bench.note(found)
            assert found["state"] in ({"ready"} if resume else {"ready", "idle"}), found
            bench.assert_whole_or_not_at_all(is_ready=found["state"] == "ready")
            assert agent.ask("GET", "/readyz").status == (200 if found["state"] == "ready" else 503)
            agent.unlock()
            assert agent.wait()["state"] == "ready"
    bench.assert_whole_or_not_at_all(is_ready=True)


def _kill_engines(bench: Bench, kills: Iterator[int], chance: random.Random) -> None:
    whole = _time_one(bench)
    with bench.agent() as agent:
        for _kill in kills:
            bench.forget()
            agent.unlock()
            time.sleep(chance.uniform(0.1, 0.9) * whole)
            bench.bed.crash()
            ended = agent.wait()
            assert ended["state"] in {"error", "ready"}, ended
            bench.bed.start()
            agent.unlock()
            assert agent.wait()["state"] == "ready"
            bench.assert_whole_or_not_at_all(is_ready=True)


@pytest.mark.fault(41, 48)
@pytest.mark.parametrize("resume", [True, False], ids=["goes_on", "waits"])
def test_a_killed_agent_tells_the_truth_when_it_is_back(
    bench: Bench, rounds: Rounds, chance: random.Random, resume: bool
) -> None:
    _kill_agents(bench, rounds(AGENT_KILLS), chance, resume=resume)


@pytest.mark.fault(42, 48)
def test_an_engine_killed_in_an_unlock_of_the_agent_is_loaded_again(
    bench: Bench, rounds: Rounds, chance: random.Random
) -> None:
    _kill_engines(bench, rounds(ENGINE_KILLS), chance)


def test_an_agent_that_is_told_to_stop_leaves_its_unlock_to_the_next(bench: Bench, vendor: Vendor) -> None:
    with bench.place.agent_started(bench.cli) as (process, agent):
        agent.wait()
        agent.unlock()
        agent.wait(lambda status: status["state"] == "loading_images")
        with agent.following() as events:
            next(events)
            process.terminate()
            for event in events:
                assert event.status["state"] != "error"
        assert process.wait(20) == 0
    assert not bench.place.socket.exists()
    with bench.agent() as agent:
        assert agent.wait()["state"] == "ready"
    bench.assert_whole_or_not_at_all(is_ready=True)


@pytest.mark.fault(41, 48)
@pytest.mark.soak(minutes=1.5)
@pytest.mark.parametrize("resume", [True, False], ids=["goes_on", "waits"])
def test_many_killed_agents(bench: Bench, rounds: Rounds, chance: random.Random, resume: bool) -> None:
    _kill_agents(bench, rounds(SOAK_AGENT_KILLS // 2), chance, resume=resume)


@pytest.mark.fault(42, 48)
@pytest.mark.soak(minutes=2.5)
def test_many_killed_engines(bench: Bench, rounds: Rounds, chance: random.Random) -> None:
    _kill_engines(bench, rounds(SOAK_ENGINE_KILLS), chance)
