"""A real key service beyond a line that loses packets and is slow: in time, or given up in time."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bed.bad_link import BadLink
from bed.certs import make_leaf
from bed.unavailable import Unavailable
from binary_split.config import LIMITS
from binary_split.keyservice.state import create_state, open_state
from binary_split.model import Fragment
from tests.commandline import CommandLine
from tests.keyclient.conftest import FRAGMENT, Pki
from tests.reporting.soaking import Rounds

pytestmark = pytest.mark.slow
LOSS, DELAY_S = 0.3, 1.0  # two seconds there and back
LATE_S = 5.0  # what a program takes besides, on a busy machine
_START_S = 20

FETCH = """
import json, sys, time
from dataclasses import replace
from pathlib import Path
from binary_split.config import LIMITS
from binary_split.errors import BinarySplitError
from binary_split.keyclient import fetch_fragment
url, token, ca_file, deadline_s = sys.argv[1:]
started, error = time.monotonic(), ""
try:
    limits = replace(LIMITS, fetch_deadline_s=float(deadline_s))
    fragment = fetch_fragment(url, token, ca_file=Path(ca_file), limits=limits).reveal().hex()
except BinarySplitError as caught:
    fragment, error = "", caught.code
print(json.dumps({"fragment": fragment, "error": error, "seconds": time.monotonic() - started}))
"""


@dataclass
class Far:
    """A key service beyond a bad line."""

    link: BadLink
    url: str
    token: str
    ca_file: Path

    def fetch(self, deadline_s: float) -> dict[str, Any]:
        command = [sys.executable, "-c", FETCH, self.url, self.token, str(self.ca_file), str(deadline_s)]
        ran = subprocess.run(
            [*self.link.entering_device(), *command],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            capture_output=True,
            timeout=deadline_s + 60,
            check=True,
        )
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    def assert_in_time(self, deadline_s: float) -> bool:
        """Check that a fetch succeeds, or fails within the deadline; say which."""
        found = self.fetch(deadline_s)
        if found["fragment"]:
            assert bytes.fromhex(found["fragment"]) == FRAGMENT
        else:
            assert found["error"] in {"key-service-timeout", "key-service-unreachable", "fragment-truncated"}
        assert found["seconds"] < deadline_s + LATE_S
        return bool(found["fragment"])


@pytest.fixture
def far(
    pki: Pki,
    cli: CommandLine,
    tmp_path: Path,
    chance: random.Random,
    could_not_run: Callable[[Unavailable], None],
) -> Iterator[Callable[..., Far]]:
    """Make a line, with a key service at its far end."""
    create_state(tmp_path / "state")
    store = open_state(tmp_path / "state")
    store.keys.add("k1", Fragment(FRAGMENT))
    token = store.tokens.issue("k1", lifetime=timedelta(days=1)).text
    store.close()
    leaf = make_leaf(pki.authority, names=(BadLink.SERVER,))
    leaf.write_certificate(tmp_path / "cert.pem")
    (tmp_path / "key.pem").write_bytes(leaf.key_pem)
    with ExitStack() as stack:

        def make(*, loss: float, delay_s: float) -> Far:
            link = BadLink(loss=loss, delay_s=delay_s, seed=chance.randrange(1 << 31))
            try:
                stack.enter_context(link)
            except Unavailable as missing:
                could_not_run(missing)
            url = stack.enter_context(_serving(link, cli, tmp_path))
            return Far(link, url, token, pki.ca_file)

        yield make


@contextmanager
def _serving(link: BadLink, cli: CommandLine, folder: Path) -> Iterator[str]:
    tls = ["--tls-cert", folder / "cert.pem", "--tls-key", folder / "key.pem"]
    place = ["--state", folder / "state", "--host", BadLink.SERVER, "--port", "0"]
    command = [*link.entering_server(), *cli.command("keyservice", "serve", *place, *tls)]
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=cli.whole_environment(), stdout=sink, stderr=sink)
    try:
        deadline = time.monotonic() + _START_S
        while not (found := re.search(r"listening on (https://\S+)", log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield found[1]
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.fault(27)
def test_a_line_that_loses_a_third_brings_the_fragment(far: Callable[..., Far]) -> None:
    assert far(loss=LOSS, delay_s=0.01).assert_in_time(LIMITS.fetch_deadline_s)


@pytest.mark.fault(27)
def test_a_line_that_is_slow_besides_is_given_up_in_time(far: Callable[..., Far]) -> None:
    far(loss=LOSS, delay_s=DELAY_S).assert_in_time(5)


@pytest.mark.fault(26, 33)
def test_a_line_that_is_cut_is_given_up_in_time_and_used_again(far: Callable[..., Far]) -> None:
    beyond = far(loss=0, delay_s=0.01)
    beyond.link.cut()
    assert not beyond.assert_in_time(2)
    beyond.link.join()
    assert beyond.assert_in_time(LIMITS.fetch_deadline_s)


@pytest.mark.fault(26)
def test_a_name_that_nobody_resolves_is_named_in_time(far: Callable[..., Far]) -> None:
    found = replace(far(loss=0, delay_s=0.01), url="https://keys.example").fetch(deadline_s=2)
    assert found["error"] == "key-service-unreachable"
    assert found["seconds"] < 2 + LATE_S


@pytest.mark.fault(27)
@pytest.mark.soak(minutes=1)
def test_many_fetches_over_a_slow_line_that_loses_a_third(far: Callable[..., Far], rounds: Rounds) -> None:
    beyond = far(loss=LOSS, delay_s=DELAY_S)
    came = [beyond.assert_in_time(deadline_s=20) for _round in rounds(20)]
    assert came
