"""What the service says of itself: JSON lines, request ids, figures, and to systemd; never a secret."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from binary_split.errors import ConfigError
from binary_split.keyservice.state import open_state
from binary_split.model import Fragment
from binary_split.service.metrics import parse_address
from tests.keyservice.conftest import HOUR

pytestmark = pytest.mark.slow  # a service runs for each

PROGRAM = Path(sys.executable).with_name("binary-split")
CANARY = "canary-in-a-query"
PATH = "/binary-split/key-fragment"


@dataclass
class Spoken:
    """A running process and what it has said."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str] = field(default_factory=list)

    def json_lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def serving(state: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Spoken]:
    command = [PROGRAM, "keyservice", "serve", "--state", state, "--port", "0", *options]
    process = subprocess.Popen(
        list(map(str, command)), stderr=subprocess.PIPE, text=True, env=os.environ | (environment or {})
    )
    assert process.stderr
    said: Queue[str] = Queue()
    spoken = Spoken(process, "")

    def listen() -> None:
        assert process.stderr
        for line in process.stderr:
            said.put(line)
            spoken.lines.append(line.rstrip("\n"))

    reader = threading.Thread(target=listen)
    reader.start()
    try:
        match = re.search(r"listening on (http\S+)", said.get(timeout=30))
        assert match
        spoken.url = match[1]
        spoken.lines.clear()
        yield spoken
    finally:
        if process.poll() is None:
            spoken.stop()
        reader.join(timeout=10)
        process.stderr.close()


@pytest.fixture
def token(state: Path) -> str:
    store = open_state(state)
    store.keys.add("k1", Fragment(b"fragment-canary-" * 2))
    text = store.tokens.issue("k1", lifetime=HOUR).text
    store.close()
    return text


def metric(url: str, name: str, **labels: str) -> float:
    text = requests.get(url, timeout=10).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return 0.0


def test_no_output_holds_a_canary_and_every_line_is_json_with_the_requests_id(
    state: Path, token: str
) -> None:
    """FAULTS 38, on the service's side."""
    everywhere = {
        "Authorization": f"Bearer {token}",
        "Cookie": f"session={token}",
        "User-Agent": token,
        "Referer": f"https://x/{CANARY}?t={token}",
        "X-Forwarded-For": token,
    }
    other = "bsk_" + "z" * 43
    code = "bse_" + "c" * 40
    with serving(state, "--metrics", "127.0.0.1:0") as spoken:
        ids = []
        for url, headers in (
            (f"{PATH}?key_id=k1&access_token={token}&q={CANARY}", everywhere),
            (f"{PATH}?key_id={token}", everywhere),
            (f"/{token}/x?{CANARY}", everywhere),
            (PATH, {"Authorization": f"Bearer {other}"}),
            (PATH, {"Authorization": f"Bearer {token}", "X-Request-Id": token}),
            (PATH, {"Authorization": f"Bearer {token} {token}"}),
        ):
            answer = requests.get(spoken.url + url, headers=headers, timeout=10)
            ids.append(answer.headers["X-Request-Id"])
        requests.post(f"{spoken.url}/v1/enroll", json={"code": code, "public_key": CANARY}, timeout=10)
        requests.post(f"{spoken.url}/v1/enroll", data=b"{" + code.encode(), timeout=10)
        with socket.create_connection(("127.0.0.1", int(spoken.url.rpartition(":")[2]))) as raw:
            raw.sendall(token.encode() + b"\r\n\r\n")
            raw.recv(65536)
        assert spoken.stop() == 0
    output = "\n".join(spoken.lines)
    for secret in (token, token[4:], other[4:], code[4:], CANARY, "fragment-canary"):
        assert secret not in output
    logged = [line for line in spoken.json_lines() if line["event"] == "request"]
    assert [line["request_id"] for line in logged][: len(ids)] == ids
    assert [line["status"] for line in logged][: len(ids)] == [200, 404, 404, 401, 200, 400]
    assert all(line["client"] == "127.0.0.1" and "timestamp" in line and "ms" in line for line in logged)


@pytest.mark.parametrize("name", ["trace-7.b_2", "A" * 64])
def test_a_request_keeps_the_id_that_it_came_with(service_url: str, name: str) -> None:
    answer = requests.get(f"{service_url}/none", headers={"X-Request-Id": name}, timeout=10)
    assert answer.headers["X-Request-Id"] == name


@pytest.mark.parametrize("name", ["A" * 65, "a b", "", "-x", 'a"b', "bsk_abcdefgh", "x;Bearer"])
def test_what_is_no_id_is_replaced(service_url: str, name: str) -> None:
    answer = requests.get(f"{service_url}/none", headers={"X-Request-Id": name}, timeout=10)
    assert re.fullmatch("[0-9a-f]{24}", answer.headers["X-Request-Id"])


@pytest.fixture(scope="module")
def service_url(tmp_path_factory: pytest.TempPathFactory, _pristine: Path) -> Iterator[str]:
    state = tmp_path_factory.mktemp("observed") / "state"
    state.mkdir(mode=0o700)
    for file in _pristine.iterdir():
        (state / file.name).touch(mode=0o600)
        (state / file.name).write_bytes(file.read_bytes())
    with serving(state) as spoken:
        yield spoken.url


def test_prometheus_is_told_outcomes_times_and_the_databases_errors_on_an_address_of_its_own(
    state: Path, token: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(state, "--metrics", f"127.0.0.1:{port}") as spoken:
        metrics = f"http://127.0.0.1:{port}/metrics"
        for credentials in (token, token, "bsk_unknown"):
            requests.get(spoken.url + PATH, headers={"Authorization": f"Bearer {credentials}"}, timeout=10)
        requests.get(f"{spoken.url}/{token}", timeout=10)
        with closing(sqlite3.connect(state / "keyservice.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = requests.get(spoken.url + PATH, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert answer.status_code == 503
        assert metric(metrics, "binary_split_releases_total", way="plain", outcome="released") == 2
        assert metric(metrics, "binary_split_releases_total", outcome="unauthenticated") == 1
        assert metric(metrics, "binary_split_releases_total", outcome="unavailable") == 1
        assert metric(metrics, "binary_split_database_errors_total", problem="key-store-state") == 1
        assert metric(metrics, "binary_split_request_seconds_count", route=PATH) == 4
        assert metric(metrics, "binary_split_requests_total", route="other", method="other") == 1
        assert metric(metrics, "binary_split_audit_queue") == 0
        assert token not in requests.get(metrics, timeout=10).text
        assert requests.get(f"{spoken.url}/metrics", timeout=10).status_code == 404


@pytest.mark.parametrize("text", ["9464", ":9464", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"])
def test_an_address_for_the_figures_is_a_host_and_a_port(text: str) -> None:
    with pytest.raises(ConfigError, match="not an address"):
        parse_address(text)
    assert parse_address("[::1]:9464") == ("::1", 9464)


def test_ready_needs_the_audit_key(state: Path, token: str) -> None:
    with serving(state) as spoken:
        assert requests.get(f"{spoken.url}/readyz", timeout=10).status_code == 200
        with closing(sqlite3.connect(state / "keyservice.sqlite3")) as other, other:
            other.execute("UPDATE audit SET mac = zeroblob(32) WHERE seq = (SELECT max(seq) FROM audit)")
        answer = requests.get(f"{spoken.url}/readyz", timeout=10)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert requests.get(f"{spoken.url}/healthz", timeout=10).status_code == 200


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_told_of_the_start_the_life_and_the_end(
    state: Path, tmp_path: Path, *, is_abstract: bool
) -> None:
    name = f"@binary-split-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name[1:] if is_abstract else name)
        systemd.settimeout(20)
        environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000"}
        with serving(state, environment=environment) as spoken:
            assert systemd.recv(100) == b"READY=1"
            assert systemd.recv(100) == b"WATCHDOG=1"
            assert systemd.recv(100) == b"WATCHDOG=1"
            assert spoken.stop() == 0
            said = {systemd.recv(100)}
            while b"STOPPING=1" not in said:
                said.add(systemd.recv(100))


def test_sigterm_finishes_what_is_under_way_and_takes_nothing_new(state: Path, token: str) -> None:
    answers: list[requests.Response] = []

    def ask(url: str) -> None:
        answers.append(requests.get(url + PATH, headers={"Authorization": f"Bearer {token}"}, timeout=20))

    with serving(state) as spoken, closing(sqlite3.connect(state / "keyservice.sqlite3")) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")  # the release waits for its turn
        asking = threading.Thread(target=ask, args=(spoken.url,))
        asking.start()
        time.sleep(0.5)
        spoken.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{spoken.url}/healthz", timeout=5)
        other.execute("ROLLBACK")
        asking.join(timeout=20)
        assert spoken.process.wait(timeout=20) == 0
    assert [answer.status_code for answer in answers] == [200]
    store = open_state(state)
    assert [record.kind for record in store.audit.export()][-1] == "release"
    store.audit.verify()
    store.close()


def test_a_stop_does_not_wait_for_ever_for_a_client_that_reads_nothing(state: Path) -> None:
    with serving(state) as spoken:
        port = int(spoken.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"POST /v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            time.sleep(0.2)
            started = time.monotonic()
            spoken.process.send_signal(signal.SIGTERM)
            spoken.process.wait(timeout=28)
            assert time.monotonic() - started < 28
