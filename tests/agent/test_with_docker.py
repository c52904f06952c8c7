"""The agent and a real Docker Engine, a real key service, the real program beside it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from bed.dockerd import PrivateDockerd
from tests.agent.clients import Client
from tests.agent.places import Place, Vendor
from tests.archives import flip_bit, parse_pins
from tests.canary import assert_in_no_file, canary_of
from tests.commandline import CommandLine, Ran
from tests.engines.conftest import wait_for_none
from tests.releases import AgeRelease

pytestmark = pytest.mark.slow


def is_loading(status: dict[str, object]) -> bool:
    return status["state"] == "loading_images" and bool(status["done_bytes"])


def test_an_empty_engine_becomes_ready_with_every_image_and_live_progress(
    docked: Place, fresh_device: PrivateDockerd, large: AgeRelease
) -> None:
    seen = []
    with docked.agent_running() as agent, agent.following() as events:
        agent.wait()
        assert agent.unlock().status == 202
        for event in events:
            seen.append(event.status)
            if event.status["state"] == "ready":
                break
    assert parse_pins(fresh_device.image_ids()) == large.pins
    loading = [status for status in seen if status["state"] == "loading_images" and status["total_bytes"]]
    assert [status["done_bytes"] for status in loading] == sorted(status["done_bytes"] for status in loading)
    assert any(status["rate_bytes_per_s"] for status in loading)
    assert {image["name"] for image in loading[-1]["images"]} == {str(ref) for ref in large.images}
    for ref in large.images:
        ran = fresh_device.docker("run", "--rm", "--network", "none", str(ref))
        assert ran.stdout.strip() == f"{ref.name} 1.0.0 is running"


@pytest.mark.fault(47)
def test_again_loads_nothing_leaves_nothing_and_asks_for_no_fragment(
    docked: Place, fresh_device: PrivateDockerd, vendor: Vendor
) -> None:
    with docked.agent_running() as agent:
        agent.unlock()
        assert agent.wait()["state"] == "ready"
        before = sorted(image["Id"] for image in fresh_device.ask("GET", "/images/json?all=1"))
        asked = vendor.released()
        assert agent.unlock().status == 200
        assert vendor.released() == asked
        assert sorted(image["Id"] for image in fresh_device.ask("GET", "/images/json?all=1")) == before
    assert fresh_device.ask("GET", '/images/json?filters={"dangling":["true"]}') == []


@pytest.mark.fault(46)
def test_two_posts_and_the_program_at_once_are_one_load(
    docked: Place, fresh_device: PrivateDockerd, large: AgeRelease, vendor: Vendor, cli: CommandLine
) -> None:
    config = str(docked.write_config())
    program = cli.with_environment(
        BINARY_SPLIT_CONFIG=config, BINARY_SPLIT_STATE=str(docked.state), DOCKER_HOST=fresh_device.host
    )
    ran: list[Ran] = []
    before = vendor.released()
    with docked.agent_running() as agent:
        agent.wait()
        first = agent.unlock()
        second = agent.unlock()
        thread = threading.Thread(target=lambda: ran.append(program.run("unlock", large.path, "--json")))
        thread.start()
        assert (first.status, second.status) == (202, 202)
        assert second.document["started_at"] == first.document["started_at"]
        assert agent.wait()["state"] == "ready"
        thread.join(90)
    assert ran[0].status == 0, ran[0]
    assert ran[0].document["loaded"] == []
    assert vendor.released() == before + 1
    assert parse_pins(fresh_device.image_ids()) == large.pins


@pytest.mark.fault(46)
def test_the_agent_waits_for_the_program_and_says_so(
    docked: Place, fresh_device: PrivateDockerd, large: AgeRelease, vendor: Vendor, cli: CommandLine
) -> None:
    program = cli.with_environment(
        BINARY_SPLIT_CONFIG=str(docked.write_config()),
        BINARY_SPLIT_STATE=str(docked.state),
        DOCKER_HOST=fresh_device.host,
    )
    before = vendor.released()
    waited_for = set()
    with docked.agent_running() as agent, agent.following() as events:
        agent.wait()
        with program.start("unlock", large.path, "--progress", "json") as process:
            assert process.stdout is not None
            for line in process.stdout:
                if b"loading_images" in line:
                    break
            agent.unlock()
            for event in events:
                waited_for.add(event.status["waiting_for"])
                if event.status["state"] == "ready":
                    break
            process.communicate(timeout=60)
    assert waited_for == {None, "another unlock"}
    assert vendor.released() == before + 1


def test_another_release_is_refused_while_one_is_under_way(
    docked: Place, release: AgeRelease, newer: AgeRelease
) -> None:
    archives = {**docked.archives, "newer": newer.path}
    with docked.with_(archives=archives).agent_running() as agent:
        agent.wait()
        agent.unlock(archive="stick")
        refused = agent.unlock(archive="newer")
        assert refused.status == 409
        assert refused.document["type"] == "urn:binary-split:problem:unlock-busy"
        assert agent.unlock(archive="stick", version="9").status == 409
        assert agent.unlock().status == 202
        assert agent.wait()["state"] == "ready"


def test_a_cancelled_unlock_leaves_the_engine_as_it_was_and_may_begin_again(
    docked: Place, fresh_device: PrivateDockerd, large: AgeRelease
) -> None:
    with docked.agent_running() as agent:
        agent.wait()
        agent.unlock()
        agent.wait(is_loading)
        started = time.monotonic()
        assert agent.cancel().status == 202
        ended = agent.wait()
        assert (ended["state"], ended["error"]) == ("idle", None)
        assert time.monotonic() - started < 20
        assert {image["state"] for image in ended["images"]} == {"waiting"}
        assert fresh_device.image_ids() == {}
        assert agent.cancel().status == 200
        agent.unlock()
        assert agent.wait()["state"] == "ready"
    assert parse_pins(fresh_device.image_ids()) == large.pins


@pytest.mark.fault(10, 48)
def test_a_damaged_layer_is_an_error_and_nothing_is_loaded(
    docked: Place, fresh_device: PrivateDockerd, large: AgeRelease, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.age"
    sealed = large.path.read_bytes()
    damaged.write_bytes(flip_bit(sealed, len(sealed) - 5_000_000))
    with docked.with_(archives={"bad": damaged, "stick": large.path}).agent_running() as agent:
        agent.unlock()
        assert agent.wait()["error"]["code"] == "archive-damaged"
        assert fresh_device.image_ids() == {}
        assert wait_for_none(lambda: [str(left) for left in fresh_device.leftovers()]) == []
        assert_in_no_file(map(canary_of, large.images), docked.state, fresh_device.data_root)
        agent.unlock(archive="stick")
        assert agent.wait()["state"] == "ready"


@pytest.mark.fault(40)
def test_an_engine_that_is_away_is_an_error_with_a_cure_and_comes_back(
    docked: Place, fresh_device: PrivateDockerd
) -> None:
    fresh_device.crash()
    with docked.agent_running() as agent:
        try:
            assert agent.wait()["error"]["code"] == "engine-unreachable"
            assert agent.ask("GET", "/readyz").status == 503
            assert agent.ask("GET", "/healthz").status == 200
        finally:
            fresh_device.start()
        agent.unlock()
        assert agent.wait()["state"] == "ready"


@pytest.mark.fault(50)
def test_a_status_is_answered_while_a_load_runs_and_readers_vanish(docked: Place) -> None:
    with docked.agent_running() as agent:
        agent.wait()
        agent.unlock()
        agent.wait(is_loading)
        for _reader in range(10):
            with agent.following() as events:
                next(events)
        assert _states(agent)[-1] == "ready"


@pytest.mark.fault(43)
def test_an_engine_that_hangs_holds_up_neither_status_nor_cancelling(
    docked: Place, fresh_device: PrivateDockerd
) -> None:
    with docked.agent_running() as agent:
        agent.unlock()
        agent.wait(is_loading)
        os.kill(fresh_device.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            probes = [threading.Thread(target=agent.ask, args=("GET", "/readyz")) for _probe in range(10)]
            for probe in probes:
                probe.start()
            for _ask in range(20):
                agent.status()
            assert agent.ask("GET", "/healthz").status == 200
            assert agent.cancel().status == 202
            assert time.monotonic() - started < 10
        finally:
            os.kill(fresh_device.pid, signal.SIGCONT)
        for probe in probes:
            probe.join(30)
        assert agent.wait()["state"] in {"idle", "ready"}


def _states(agent: Client) -> list[str]:
    states = []
    while (status := agent.status())["is_running"]:
        states.append(status["state"])
    return [*states, status["state"]]
