"""An unlock through the agent against the same one by the command line; what a status takes meanwhile.

Each way has an engine of its own, new and empty, and the archive is dropped from the page cache before. A
ratio under 1.00 is less time than the command takes in the same round, its start included; a status is asked
for fifty times a second, over one kept connection, as a page and a supervisor would together.
"""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bed.dockerd import PrivateDockerd
from binary_split.config import MIB
from binary_split.keyservice.state import create_state, open_state
from binary_split.model import Fragment
from scripts.bench.bundles import OLD, PROGRAM, Bundle
from scripts.bench.figures import Figure, Results
from scripts.bench.measuring import drop_from_cache

_Result = TypeVar("_Result")

_KEY_ID = "bench"
_PAUSE_S = 5.0
_LOOK_S = 0.02
_POLL_S = 0.1
_UNLOCKS = 8


class AgentConnection(http.client.HTTPConnection):
    """A kept connection to an agent's unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))

    def ask(self, method: str, path: str) -> dict[str, Any]:
        """Return the answer's document."""
        self.request(method, path)
        document: dict[str, Any] = json.loads(self.getresponse().read())
        return document


@dataclass(frozen=True, slots=True)
class Device:
    """A folder with the archive, its configuration, and a key service for it."""

    bundle: Bundle
    config: Path

    def environment(self, engine: PrivateDockerd) -> dict[str, str]:
        """Return the environment of a device with this engine, and a state of its own."""
        state = engine.folder / "state"
        return {
            **engine.environment(),
            "BINARY_SPLIT_CONFIG": str(self.config),
            "BINARY_SPLIT_STATE": str(state),
        }


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds that were waited for each status; and beyond each pause, for a processor alone."""

    status: list[float]
    late: list[float]

    def show(self) -> None:
        """Print how they are distributed."""
        rows = {"a status while it loads": self.status, "the asker alone, for a processor": self.late}
        for name, waits in rows.items():
            waits.sort()
            figures = [waits[min(len(waits) - 1, int(part * len(waits)))] * 1000 for part in (0.5, 0.99, 1)]
            print(f"  {name:<34} p50 {figures[0]:.1f} ms, p99 {figures[1]:.1f} ms, most {figures[2]:.1f} ms")


@dataclass(slots=True)
class Agent:
    """A running agent."""

    pid: int
    socket: Path

    def memory(self) -> tuple[float, float]:
        """Return its memory now and the most that it had, in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        fields = dict(line.partition(":")[::2] for line in lines)
        return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]

    def unlock(self, look_s: float) -> tuple[float, Waits]:
        """Unlock; return the seconds that took, and what was waited for, asked for at this pace."""
        connection, waits = AgentConnection(self.socket), Waits([], [])
        started = time.perf_counter()
        status = connection.ask("POST", "/unlock")
        while status["is_running"]:
            slept = time.perf_counter()
            time.sleep(look_s)
            asked = time.perf_counter()
            status = connection.ask("GET", "/unlock/status")
            waits.late.append(asked - slept - look_s)
            waits.status.append(time.perf_counter() - asked)
        seconds = time.perf_counter() - started
        connection.close()
        if status["state"] != "ready":
            raise OSError(f"the agent did not unlock: {status['error']}")
        return seconds, waits


def bench_agent(folder: Path, *, mib: int, rounds: int) -> Results:
    """Run the ways in turn, and print their figures."""
    bundle = Bundle(folder, mib * MIB, [OLD])
    ratios, own, commands, memory = [], [], [], []
    waits = Waits([], [])
    with key_service(folder, bundle) as device:
        for _round in range(rounds):
            command = _in_new_engine(device, time_command)
            seconds, _times, _memory = _in_new_engine(device, partial(time_agent, look_s=_POLL_S))
            _seconds, times, used = _in_new_engine(device, partial(time_agent, look_s=_LOOK_S))
            ratios.append(seconds / command)
            own.append(seconds)
            commands.append(command)
            waits.status.extend(times.status)
            waits.late.extend(times.late)
            memory.append(used)
        course = _in_new_engine(device, watch_memory)
    print(f"\n{mib} MiB in 7 images, medians of {rounds} rounds")
    print(f"  the command {statistics.median(commands):.2f} s, the agent {statistics.median(own):.2f} s")
    print(f"  ratio {statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})")
    waits.show()
    before, peak, after = (statistics.median(row[place] for row in memory) for place in range(3))
    print(f"  memory of the agent: {before:.0f} MiB idle, {peak:.0f} at most, {after:.0f} after")
    print("  after each of its unlocks:", " ".join(f"{mib:.0f}" for mib in course), "MiB")
    late = sorted(waits.status)[int(0.99 * len(waits.status))] * 1000
    return Results(
        f"{mib} MiB in 7 images, {rounds} rounds",
        [
            Figure.of("through the agent: time, of the command's", ratios, at_most=1.03),
            Figure.of("a status while it loads, 99 % within", [late], unit="ms", at_most=50),
            Figure.of("peak memory of the agent", [row[1] for row in memory], unit="MiB", at_most=120),
        ],
    )


def time_command(device: Device, engine: PrivateDockerd) -> float:
    """Return the seconds that the command takes."""
    started = time.perf_counter()
    command = (PROGRAM, "unlock", device.bundle.sealed("age", OLD))
    subprocess.run(command, env=device.environment(engine), check=True, capture_output=True)
    return time.perf_counter() - started


def time_agent(
    device: Device, engine: PrivateDockerd, *, look_s: float
) -> tuple[float, Waits, tuple[float, float, float]]:
    """Return what the agent takes: seconds, those of each status, its memory before, at most and after."""
    with _agent(device, engine) as agent:
        before, _peak = agent.memory()
        seconds, times = agent.unlock(look_s)
        after, peak = agent.memory()
        return seconds, times, (before, peak, after)


def watch_memory(device: Device, engine: PrivateDockerd) -> list[float]:
    """Return one agent's memory after each of several unlocks, in MiB; the engine is emptied between."""
    course = []
    with _agent(device, engine) as agent:
        for _unlock in range(_UNLOCKS):
            agent.unlock(_POLL_S)
            course.append(agent.memory()[0])
            engine.empty()
    return course


@contextmanager
def _agent(device: Device, engine: PrivateDockerd) -> Iterator[Agent]:
    path = engine.folder / "agent.sock"
    process = subprocess.Popen(
        (PROGRAM, "agent", "serve", "--unix", path),
        env=device.environment(engine),
        stderr=subprocess.DEVNULL,
    )
    try:
        while not path.exists():
            time.sleep(_LOOK_S)
        connection = AgentConnection(path)
        while connection.ask("GET", "/unlock/status")["is_running"]:
            time.sleep(_LOOK_S)
        connection.close()
        yield Agent(process.pid, path)
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def key_service(folder: Path, bundle: Bundle) -> Iterator[Device]:
    """Run a key service that has the bundle's fragment, and give a device that is configured for it."""
    state = folder / "keyservice"
    create_state(state)
    store = open_state(state)
    store.keys.add(_KEY_ID, Fragment(bundle.fragment))
    token = store.tokens.issue(_KEY_ID, lifetime=timedelta(days=1)).text
    store.close()
    command = (PROGRAM, "keyservice", "serve", "--state", state, "--port", "0")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = (process.stderr.readline() if process.stderr else "").split()[-1]
            yield Device(bundle, _write_config(folder, bundle, url, token))
        finally:
            process.terminate()
            process.communicate()


def _write_config(folder: Path, bundle: Bundle, url: str, token: str) -> Path:
    keys, token_file, config = folder / "trusted", folder / "token", folder / "config.toml"
    keys.mkdir()
    (keys / "vendor.pub").write_bytes(bundle.public_key)
    token_file.write_text(token)
    lines = {"key_service": url, "token_file": token_file, "trusted_keys_folder": keys}
    texts = [f"{name} = {json.dumps(str(value))}" for name, value in lines.items()]
    archive = json.dumps(str(bundle.sealed("age", OLD)))
    config.write_text("\n".join([*texts, "[agent.archives]", f"bench = {archive}", ""]))
    return config


def _in_new_engine(device: Device, way: Callable[[Device, PrivateDockerd], _Result]) -> _Result:
    with PrivateDockerd(parent=device.bundle.folder) as engine:
        drop_from_cache(device.bundle.inputs())
        time.sleep(_PAUSE_S)
        return way(device, engine)
