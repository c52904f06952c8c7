"""Schemathesis against a running key service: every operation, with right and with wrong input."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Left out is what no description can say: that a name must exist, and a grant has one receiver.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)


def run_schemathesis(
    url: str,
    token: str,
    folder: Path,
    *,
    seed: int,
    examples: int,
    seconds: int,
    leave_out: Sequence[str] = (),
) -> tuple[int, str]:
    """Return the exit code and what was found; ``examples`` are for each operation and phase."""
    left_out = [part for path in leave_out for part in ("--exclude-path", path)]
    command = (
        *(sys.executable, "-m", "schemathesis.cli", "--no-color", "run", f"{url}/openapi.json"),
        *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--warnings", "off"),
        *("--max-examples", str(examples), "--max-time", str(seconds), "--seed", str(seed), "--no-shrink"),
        *("--generation-database", "none", "--continue-on-failure"),
        *("--header", f"Authorization: Bearer {token}", "--request-timeout", "10", *left_out),
    )
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=seconds + 120, check=False
    )
    return done.returncode, done.stdout + done.stderr
