"""Our code in processes of their own: promises about memory, signals and imports are about those."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, AnyStr

import binary_split

SOURCE = Path(binary_split.__file__).parents[1]
CLI = "from binary_split.cli.main import main; main()"


def child_environment(**changes: str) -> dict[str, str]:
    """Return an environment with no settings of ours but the given ones, in which our source is found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BINARY_SPLIT_")}
    return {**kept, "PYTHONPATH": str(SOURCE), **changes}


def python(code: str, *arguments: str | Path) -> list[str]:
    """Return the command that runs some code with warnings as errors."""
    return [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]


def run_python(code: str, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run some code to its end."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options = {**streams, "timeout": 120, "env": child_environment(), **options}
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        python(code, *arguments), check=False, **options
    )
    return done


def run_cli(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command line to its end."""
    return run_python(CLI, *arguments, **options)


@contextmanager
def started(code: str, *arguments: str | Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run some code beside the test; it is killed if it is still there at the end."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": child_environment(), **options}
    with at_most_as_long(subprocess.Popen(python(code, *arguments), **options)) as process:
        yield process


@contextmanager
def at_most_as_long(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """Let a process live no longer than the block, however that ends; its pipes are closed then."""
    with process:
        try:
            yield process
        finally:
            process.kill()
