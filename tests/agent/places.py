"""A device with an agent: its configuration, its engine, its key service, its archives."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from binary_split.agent.access import Access
from binary_split.agent.app import AgentLimits, Surroundings, create_app
from binary_split.agent.figures import AgentMetrics
from binary_split.agent.settings import parse_agent_settings
from binary_split.agent.unlocker import Unlocker
from binary_split.config import Settings, load_settings
from binary_split.keyservice.guards import Guards
from binary_split.keyservice.store import Store
from binary_split.service.listener import listener_url, open_listener, unix_listener
from binary_split.service.server import build_server, run_server
from tests.agent.clients import Client
from tests.commandline import CommandLine
from tests.releases import KEY, KEY_ID

AGENT_TOKEN = "agent-token-of-the-tests-0123456789"
UNLIMITED = AgentLimits(wish_rate=0, failure_rate=0)


@dataclass
class Vendor:
    """A running key service that has the fragment of the releases."""

    url: str
    store: Store
    guards: Guards

    def released(self) -> int:
        """How many fragments have left."""
        labels = {"way": "plain", "outcome": "released"}
        value = self.guards.metrics.registry.get_sample_value("binary_split_releases_total", labels)
        return int(value or 0)

    def issue(self) -> str:
        from datetime import timedelta

        return self.store.tokens.issue(KEY_ID, lifetime=timedelta(days=3650)).text


@dataclass
class Place:
    """What the configuration file of a device says; the archives are by name, ``rest`` is at its end."""

    folder: Path
    key_service: str
    token: str
    engine: str
    archives: Mapping[str, object] = field(default_factory=dict)
    agent: Mapping[str, object] = field(default_factory=dict)
    rest: str = ""

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def socket(self) -> Path:
        return self.folder / "agent.sock"

    def write_config(self) -> Path:
        """Write the file, and what it names."""
        keys = self.folder / "trusted"
        keys.mkdir(exist_ok=True)
        (keys / "vendor.pub").write_bytes(KEY.public_key.serialise())
        token_file = self.folder / "token"
        token_file.write_text(self.token)
        texts = {
            "key_service": self.key_service,
            "token_file": token_file,
            "trusted_keys_folder": keys,
            "engine": self.engine,
            "state": self.state,
        }
        lines = [f"{name} = {json.dumps(str(value))}" for name, value in texts.items()]
        lines += ["[agent]", *(f"{name} = {json.dumps(value)}" for name, value in self.agent.items())]
        lines += ["[agent.archives]", *(f"{name} = {_toml(row)}" for name, row in self.archives.items())]
        path = self.folder / "config.toml"
        path.write_text("\n".join([*lines, self.rest]) + "\n")
        return path

    def settings(self) -> Settings:
        return load_settings({"BINARY_SPLIT_CONFIG": str(self.write_config())})

    def with_(self, **changes: Any) -> Place:
        return replace(self, **changes)

    @contextmanager
    def unlocker(self) -> Iterator[Unlocker]:
        settings = self.settings()
        unlocker = Unlocker(settings, parse_agent_settings(settings.agent))
        try:
            yield unlocker
        finally:
            unlocker.close()

    @contextmanager
    def agent_running(self, limits: AgentLimits = UNLIMITED, *, by_token: bool = False) -> Iterator[Client]:
        """Run the agent in this process: on its unix socket, or on loopback where its token opens it."""
        metrics = AgentMetrics()
        access = Access(AGENT_TOKEN if by_token else "")
        listening = open_listener("127.0.0.1", 0, plain=True) if by_token else unix_listener(self.socket)
        with self.unlocker() as unlocker, listening as listener:
            around = Surroundings(
                unlocker=unlocker,
                access=access,
                metrics=metrics,
                limits=limits,
                is_ending=lambda: server.should_exit,
            )
            server = build_server(create_app(around), None, head_s=limits.head_s)
            thread = threading.Thread(target=run_server, args=(server, listener))
            thread.start()
            try:
                url = listener_url(listener, plain=True) if by_token else f"unix:{self.socket}"
                yield Client(url, AGENT_TOKEN if by_token else "")
            finally:
                server.should_exit = True
                thread.join(timeout=20)
            assert not thread.is_alive()

    @contextmanager
    def agent_started(
        self, cli: CommandLine, *options: object, **pipes: Any
    ) -> Iterator[tuple[subprocess.Popen[bytes], Client]]:
        """Run the agent as a process of its own, on its unix socket."""
        cli = cli.with_environment(BINARY_SPLIT_CONFIG=str(self.write_config()))
        process = cli.start("agent", "serve", "--unix", self.socket, *options, **pipes)
        try:
            assert process.stderr is not None
            line = process.stderr.readline().decode()
            assert "agent listening on" in line, line + process.stderr.read().decode()
            yield process, Client(f"unix:{self.socket}")
        finally:
            process.kill()
            process.communicate()


def _toml(row: object) -> str:
    if isinstance(row, Mapping):
        return "{" + ", ".join(f"{name} = {json.dumps(str(value))}" for name, value in row.items()) + "}"
    return json.dumps(str(row))
