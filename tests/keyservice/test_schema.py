"""The service does what its description says, whatever is sent."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from binary_split.keyservice.service_limits import ServiceLimits
from binary_split.keyservice.store import Store
from scripts.openapi import describe
from tests.keyservice.running import running
from tests.keyservice.schema_run import run_schemathesis

OPERATIONS = [(path, method) for path, methods in describe()["paths"].items() for method in methods]
UNLIMITED = ServiceLimits(token_rate=0, device_rate=0, failure_rate=0)  # thousands of requests are meant here


def assert_conforms(store: Store, folder: Path, *, seed: int, examples: int, seconds: int) -> None:
    store.devices.add("d1", groups=["g"])
    store.grants.add("k1", group="g")
    token = store.tokens.issue(
        "k1", lifetime=timedelta(days=365), scopes=("admin", "audit:read", "fragment:read")
    ).text
    with running(store, UNLIMITED) as (url, _guards):
        status, found = run_schemathesis(url, token, folder, seed=seed, examples=examples, seconds=seconds)
    assert status == 0, found[-6000:]
    assert re.search(rf"Tested: {len(OPERATIONS)}$", found, re.MULTILINE), found
    assert store.audit.verify().seq > 0
    assert token not in found


@pytest.mark.slow
def test_no_answer_breaks_the_description_and_none_is_a_5xx(store: Store, tmp_path: Path, seed: int) -> None:
    assert_conforms(store, tmp_path, seed=seed, examples=8, seconds=30)


@pytest.mark.soak(minutes=1)
def test_no_answer_breaks_the_description_in_many_tries(store: Store, tmp_path: Path, seed: int) -> None:
    assert_conforms(store, tmp_path, seed=seed, examples=400, seconds=50)
