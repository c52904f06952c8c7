"""Files that a script writes, and that `make lint` compares with what it would write."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def keep(
    files: Mapping[Path, str],
    there: Iterable[Path],
    arguments: Sequence[str],
    *,
    origin: str = "what it is made from",
) -> int:
    """Write files and remove those of before; with ``--check`` only compare. Returns the exit code.

    Args:
        files: what each must hold.
        there: what is there of their kind; those that are none of them any more go.
        arguments: of the command line.
        origin: what a file that is stale is not, in words.
    """
    strays = set(there) - set(files)
    stale = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in sorted([*strays, *stale]):
            print(f"{path.name} is not {origin}; run `make docs`", file=sys.stderr)
        return 1 if strays or stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    for path in strays:
        path.unlink()
    return 0
