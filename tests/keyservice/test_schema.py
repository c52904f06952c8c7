"""The service does what its description says, whatever is sent."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from scripts.openapi import describe
from tests.keyservice.conftest import Service
from tests.keyservice.schema_run import run_schemathesis

OPERATIONS = [(path, method) for path, methods in describe()["paths"].items() for method in methods]


def assert_conforms(service: Service, folder: Path, *, examples: int, seconds: int) -> None:
    store = service.store
    store.devices.add("d1", groups=["g"])
    store.grants.add("k1", group="g")
    token = store.tokens.issue(
        "k1", lifetime=timedelta(days=365), scopes=("admin", "audit:read", "fragment:read")
    ).text
    certificate = str(service.client.verify)
    status, found = run_schemathesis(
        service.url, token, folder, examples=examples, seconds=seconds, certificate=certificate
    )
    assert status == 0, found[-6000:]
    assert re.search(rf"Tested: {len(OPERATIONS)}$", found, re.MULTILINE), found
    assert store.audit.verify().seq > 0
    assert token not in found


@pytest.mark.slow
def test_no_answer_breaks_the_description_and_none_is_a_5xx(own_service: Service, tmp_path: Path) -> None:
    assert_conforms(own_service, tmp_path, examples=8, seconds=45)


@pytest.mark.soak
def test_no_answer_breaks_the_description_in_many_tries(own_service: Service, tmp_path: Path) -> None:
    assert_conforms(own_service, tmp_path, examples=400, seconds=900)
