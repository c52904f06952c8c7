"""Write ``docs/openapi/keyservice.json`` from the key service itself; with ``--check`` only compare."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from binary_split.keyservice.app import describe_api

PAGE = Path(__file__).resolve().parent.parent / "docs" / "openapi" / "keyservice.json"


def describe() -> dict[str, Any]:
    """Return the description, without the version: it would make each release a change of the API."""
    document = describe_api()
    document["info"]["version"] = "0"
    return document


def serialise(document: dict[str, Any]) -> str:
    """Return the file's text."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the file, or compare it with ``--check``."""
    text = serialise(describe())
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE.name} is not what the service says; run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
