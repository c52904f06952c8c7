"""Runs one target under atheris: ``python -m tests.soak.fuzz TARGET [libFuzzer options and corpus folders]``.

With files instead of folders each is tried once: so a reproducer is replayed.
"""

from __future__ import annotations

import sys

import atheris


def main() -> None:
    """Fuzz until libFuzzer's own options end it; it exits the process."""
    with atheris.instrument_imports(include=["binary_split"], enable_loader_override=False):
        from tests.soak.fuzz_targets import TARGETS
    program, name, *options = sys.argv
    atheris.Setup([program, *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
