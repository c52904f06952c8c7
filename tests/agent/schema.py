"""Schemathesis against a running agent."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.openapi import describe
from tests.agent.places import AGENT_TOKEN
from tests.keyservice.schema_run import run_schemathesis

# A stream has no end that could be waited for, and not to be ready is a 503: both are tested by themselves.
LEFT_OUT = ("/unlock/events", "/readyz")
OPERATIONS = [
    (path, method)
    for path, methods in describe("agent")["paths"].items()
    for method in methods
    if path not in LEFT_OUT
]


def run_against(url: str, folder: Path, *, seed: int, examples: int, seconds: int) -> None:
    """Check that every answer is one that the description names."""
    status, found = run_schemathesis(
        url, AGENT_TOKEN, folder, seed=seed, examples=examples, seconds=seconds, leave_out=LEFT_OUT
    )
    assert status == 0, found[-6000:]
    assert re.search(rf"Tested: {len(OPERATIONS)}$", found, re.MULTILINE), found
    assert AGENT_TOKEN not in found
