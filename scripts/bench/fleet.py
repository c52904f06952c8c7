"""A key service with many devices, made in two transactions, and its process on one core."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert

from bed.certs import make_leaf
from bed.postgres import PrivatePostgres
from binary_split.keyservice.chain import AuditEvent
from binary_split.keyservice.schema import DEVICE_GROUPS, DEVICES, TOKENS
from binary_split.keyservice.state import create_state, open_state
from binary_split.keyservice.store import Store
from binary_split.keyservice.tokens import generate_token, generate_token_id, hash_token
from binary_split.model import Fragment
from binary_split.sealedfragment import Kem, PrivateKey, PublicKey

KEY_ID = "bench"
SERVER_CORE = 0
CLIENT_CORE = 1
_GROUP = "fleet"
_YEAR_S = 365 * 86400
_START_S = 60
_STOP_S = 30


@dataclass(frozen=True)
class Fleet:
    """A state folder and the tokens of its devices.

    Attributes:
        folder: holds the state, the certificate and the tokens' files.
        plain: a file of tokens, one a line, of devices without a key of their own.
        sealed: the same of devices with an enrolled X25519 key.
    """

    folder: Path
    plain: Path
    sealed: Path

    @property
    def state(self) -> Path:
        """The key service's state folder."""
        return self.folder / "state"


def make_fleet(folder: Path, *, devices: int, database: PrivatePostgres | None) -> Fleet:
    """Make a state on SQLite, or on a new database of the server, with so many devices of each kind."""
    folder.mkdir()
    fleet = Fleet(folder, folder / "plain", folder / "sealed")
    url = None if database is None else database.url(database.create_database())
    create_state(fleet.state, database_url=url)
    identity = make_leaf(None)
    identity.write_certificate(folder / "cert.pem")
    (folder / "key.pem").write_bytes(identity.key_pem)
    store = open_state(fleet.state)
    try:
        store.keys.add(KEY_ID, Fragment(os.urandom(32)))
        store.grants.add(KEY_ID, group=_GROUP)
        public_key = PublicKey.of(PrivateKey.generate(Kem.X25519)).serialise().encode()
        fleet.plain.write_text("\n".join(_add_devices(store, "p", devices, None)))
        fleet.sealed.write_text("\n".join(_add_devices(store, "s", devices, public_key)))
    finally:
        store.close()
    return fleet


def _add_devices(store: Store, prefix: str, count: int, public_key: bytes | None) -> list[str]:
    tokens = [generate_token() for _ in range(count)]
    names = [f"{prefix}{number}" for number in range(count)]
    with store.ledger.writing() as turn:
        made = {"label": "", "created_at": turn.now}
        turn.connection.execute(
            insert(DEVICES),
            [made | {"device_id": name, "state": "active", "public_key": public_key} for name in names],
        )
        turn.connection.execute(
            insert(DEVICE_GROUPS), [{"device_id": name, "group_name": _GROUP} for name in names]
        )
        rows = [
            made | {"token_id": generate_token_id(), "token_hash": hash_token(token), "device_id": name}
            for token, name in zip(tokens, names, strict=True)
        ]
        turn.connection.execute(insert(TOKENS), [row | {"expires_at": turn.now + _YEAR_S} for row in rows])
        turn.record(AuditEvent(kind="bench", actor="local", detail={"devices": count}))
    return tokens


def count_releases(fleet: Fleet) -> int:
    """Return how many releases are recorded for good."""
    store = open_state(fleet.state)
    try:
        return sum(record.kind == "release" for record in store.audit.export())
    finally:
        store.close()


@dataclass
class Running:
    """A key service's process."""

    process: subprocess.Popen[bytes]
    url: str

    def cpu_s(self) -> float:
        """Return the processor time that it has had, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        """Return how much memory it holds, in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@contextmanager
def serving(fleet: Fleet, *options: str, port: int = 0) -> Iterator[Running]:
    """Run the fleet's service with TLS on one core until the block ends; its log is in the folder."""
    log = fleet.folder / "log"
    log.write_bytes(b"")
    program = Path(sys.executable).with_name("binary-split")
    files = ("--tls-cert", fleet.folder / "cert.pem", "--tls-key", fleet.folder / "key.pem")
    command = ("taskset", "-c", SERVER_CORE, program, "keyservice", "serve", "--state", fleet.state, *files)
    with log.open("ab") as lines:
        process = subprocess.Popen(
            [str(part) for part in (*command, "--port", port, *options)],
            stdin=subprocess.DEVNULL,
            stderr=lines,
        )
    try:
        yield Running(process, _wait_for_url(process, log))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_S)


def _wait_for_url(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _START_S
    marker = "listening on "
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if marker in line:
                return line.rpartition(marker)[2].split()[0].rstrip('",}')
        time.sleep(0.05)
    raise RuntimeError(f"the key service did not start: {log.read_text()[-500:]}")


@dataclass(frozen=True)
class Load:
    """What wrk measured."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int
    cpu_s: float = 0.0

    @property
    def per_core(self) -> float:
        """Answers for each second of processor time: what an idle core gives, however busy this one is."""
        return self.requests / self.cpu_s

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def load(
    service: Running, path: str, *, tokens: Path | None = None, is_sealed: bool = False, seconds: int
) -> Load:
    """Let wrk ask over kept-alive connections, on the other core."""
    script = Path(__file__).with_name("wrk.lua")
    words = [path, "sealed" if is_sealed else "plain", *([] if tokens is None else [str(tokens)])]
    command = ["taskset", "-c", str(CLIENT_CORE), "wrk", "-t1", "-c16", f"-d{seconds}s", "-s", str(script)]
    before = service.cpu_s()
    done = subprocess.run([*command, service.url, "--", *words], capture_output=True, text=True, check=True)
    cpu_s = service.cpu_s() - before
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return Load(**json.loads(line.removeprefix("RESULT ")), cpu_s=cpu_s)
