"""A real component that is missing is named in the report, and is a failure where CI=true."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow
ENGINE_TEST = "tests/bed/test_dockerd.py::test_the_release_is_on_the_vendors_engine"


def report(tmp_path: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a test that needs an engine where dockerd fails at once."""
    (tmp_path / "dockerd").write_text("#!/bin/sh\necho 'no cgroups here' >&2\nexit 1\n")
    (tmp_path / "dockerd").chmod(0o755)
    search = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    arguments = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, ENGINE_TEST]
    inherited = {name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_ADDOPTS"}}
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env={**inherited, "PATH": search, "HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["in one process", "in two"])
def test_what_could_not_run_is_listed_at_the_end(options: tuple[str, ...], tmp_path: Path) -> None:
    done = report(tmp_path, *options)
    assert done.returncode == 0
    assert "1 skipped" in done.stdout
    ending = done.stdout.partition("could not run here ==")[2]
    assert "dockerd: " in ending


def test_what_could_not_run_fails_in_ci(tmp_path: Path) -> None:
    done = report(tmp_path, CI="true")
    assert done.returncode == 1
    assert "could not run here: dockerd: " in done.stdout
